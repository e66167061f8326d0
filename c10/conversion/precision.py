"""Determines the precision of a network. No other module does.

The type of a weight is the one in which the first layer that computes with it reads it, not the one in which it is
stored: an fp32 constant behind a Cast to fp16 counts as fp16. A network is fp16 or bf16 if more than half of its
weights are, by bytes; in a network without weights the computing layers count instead. Otherwise it is fp32.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from c10.conversion import policy
from c10.conversion.model import Model, graphs_of
from c10.conversion.schema import Types, infer
from c10.conversion.storage import tensor_bytes

if TYPE_CHECKING:
    import onnx

NetworkType = Literal["fp32", "fp16", "bf16"]
Quantization = Literal["int8", "fp8"]

#: Operators that may stand between a stored weight and the layer that computes with it.
_ON_THE_WAY: Final = policy.LAYOUT | {"Cast", "CastLike"}
_QUANTIZERS: Final = frozenset({"DequantizeLinear", "QuantizeLinear"})
_COMPUTES_NOTHING: Final = policy.LAYOUT | policy.BLIND | _QUANTIZERS | {"Constant", "ConstantOfShape"}


@dataclass(frozen=True, slots=True)
class NetworkPrecision:
    """The types in which a network computes."""

    of: NetworkType
    """The precision of the network."""
    share: float
    """The part of its weights, by bytes, that has this precision, from 0 to 1; without weights, of its layers."""
    quantized: frozenset[Quantization]
    """The types to which its Q/DQ nodes quantize."""


def precision_of(model: Model) -> NetworkPrecision:
    """Return the precision of a flattened model."""
    types, _ = infer(model.proto)
    counts = _weights(model, types) or _layers(model, types)
    total = sum(counts.values())
    for name, data_type in _lower_types().items():
        if counts[data_type] * 2 > total:
            return NetworkPrecision(name, counts[data_type] / total, _quantized(model, types))
    lower = sum(counts[data_type] for data_type in _lower_types().values())
    return NetworkPrecision("fp32", 1 - lower / total if total else 1.0, _quantized(model, types))


def _lower_types() -> dict[NetworkType, int]:
    from onnx import TensorProto

    return {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def _float_types() -> set[int]:
    from onnx import TensorProto

    return {*_lower_types().values(), TensorProto.FLOAT, TensorProto.DOUBLE}


def _weights(model: Model, types: Types) -> Counter[int]:
    """Return the bytes of the weights by the type in which they are read; a weight read in two types counts as fp32."""
    from onnx import TensorProto

    floats, sizes = _float_types(), _stored(model)
    carried = {name: {name} for name in sizes}  # value → the constants that it consists of
    read_as: dict[str, set[int]] = {}
    for graph in graphs_of(model.proto.graph):
        for node in graph.node:
            for name in node.input:
                constants = carried.get(name, ())
                if node.op_type in _ON_THE_WAY and constants:
                    for output in node.output:
                        carried.setdefault(output, set()).update(constants)
                elif node.op_type not in _QUANTIZERS and types.get(name) in floats:
                    for constant in constants:
                        read_as.setdefault(constant, set()).add(types[name])
    counts: Counter[int] = Counter()
    for constant, kinds in read_as.items():
        counts[kinds.pop() if len(kinds) == 1 else TensorProto.FLOAT] += sizes[constant]
    return counts


def _stored(model: Model) -> dict[str, int]:
    """Return the size in bytes of each constant of a floating type, by name."""
    floats = _float_types()
    tensors: dict[str, onnx.TensorProto] = {}
    for graph in graphs_of(model.proto.graph):
        tensors |= {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                tensors[node.output[0]] = node.attribute[0].t
    return {name: tensor_bytes(tensor) for name, tensor in tensors.items() if tensor.data_type in floats}


def _layers(model: Model, types: Types) -> Counter[int]:
    """Return the number of computing layers by the floating type of their result, or of an input if it has none."""
    floats = _float_types()
    counts: Counter[int] = Counter()
    for graph in graphs_of(model.proto.graph):
        for node in (node for node in graph.node if node.op_type not in _COMPUTES_NOTHING):
            kinds = [types[name] for name in (*node.output, *node.input) if types.get(name) in floats]
            counts.update(kinds[:1])
    return counts


def _quantized(model: Model, types: Types) -> frozenset[Quantization]:
    found: set[Quantization] = set()
    for graph in graphs_of(model.proto.graph):
        for node in (node for node in graph.node if node.op_type in _QUANTIZERS):
            name = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
            found |= _quantization(types.get(name, 0))
    return frozenset(found)


def _quantization(data_type: int) -> set[Quantization]:
    from onnx import TensorProto

    name = {value: key for key, value in TensorProto.DataType.items()}.get(data_type, "")
    if name in {"INT8", "UINT8"}:
        return {"int8"}
    return {"fp8"} if name.startswith("FLOAT8") else set()
