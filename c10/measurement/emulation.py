"""A network of 16 bits as one of fp32 that rounds, so that a processor without 16-bit arithmetic computes its values.

ONNX Runtime's CPU provider computes most of fp16 in fp32 and leaves out the rounding in between, and has few operators
of bf16. So every value of 16 bits becomes fp32 here, and behind each node that computes one stand two casts, to 16 bits
(to the nearest, ties to even, overflow to infinity) and back. ONNX Runtime drops pairs of casts that it added itself
and keeps those of the model: tests/measurement/test_emulation.py shows it, ``refuse_without_rounding`` asks again.

Within a node the arithmetic is fp32's. Tensor cores accumulate in fp32 too; the state of an LSTM, GRU or RNN does not
leave its node and is not rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from c10.conversion import policy
from c10.conversion.flatten import Names, overridable
from c10.conversion.model import Model, bodies_of, graphs_of
from c10.conversion.schema import Types, infer

if TYPE_CHECKING:
    import onnx

#: Attributes that name a type: that of the result, or that of the arithmetic inside.
_TYPE_ATTRIBUTES: Final = frozenset({"dtype", "output_datatype", "output_dtype", "stash_type", "softmax_precision"})
#: Operators that make a value of 16 bits out of one of another type, or of nothing: they round by themselves.
_MAKERS: Final = frozenset({"Cast", "Constant"})
#: Operators whose results are values that they were given, so they need no rounding. Not Pad: its filling may be an
#: attribute of fp32.
_EXACT: Final = policy.LAYOUT - {"Pad"} | {"Abs", "GlobalMaxPool", "Max", "MaxPool", "Min", "Neg", "Relu"}


def emulate(model: Model) -> None:
    """Change a flattened model in place; its inputs and outputs of 16 bits become fp32.

    Its weights stay in 16 bits and are cast where they are read, so none of them is copied.
    """
    types, _ = infer(model.proto)
    _Emulation(model.proto, types).change()


class _Emulation:
    """One model under change. What has 16 bits from the start keeps them under a new name; a cast makes the old one."""

    def __init__(self, proto: onnx.ModelProto, types: Types) -> None:
        from onnx import TensorProto

        self._graph = proto.graph
        self._types = types
        self._names = Names(proto.graph)
        self._halves = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
        self._fp32 = TensorProto.FLOAT

    def change(self) -> None:
        """Change all graphs, the inner ones first: a list of nodes that is set is a copy."""
        _drop_defaults(self._graph)
        for graph in reversed(list(graphs_of(self._graph))):
            nodes = list(self._widened_initializers(graph))
            nodes += [changed for node in graph.node for changed in self._changed(node)]
            for value in (*graph.input, *graph.output):
                self._widen(value.type)
            del graph.value_info[:]  # inference finds them again
            copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
            del graph.node[:]
            graph.node.extend(copies)

    def _widened_initializers(self, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
        for tensor in graph.initializer:
            if self._types.get(name := tensor.name) in self._halves:
                tensor.name = self._names.new(f"{name} in 16 bits")
                yield _cast(tensor.name, name, self._fp32)

    def _changed(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the node as it is to be, and behind it the casts that round."""
        made = [i for i, name in enumerate(node.output) if self._types.get(name) in self._halves]
        makes = node.op_type in _MAKERS and node.domain in {"", "ai.onnx"}
        if not makes:
            self._widen_attributes(node)
        casts = []
        for index in made if makes or self._rounds(node) else ():
            name, half = node.output[index], self._names.new(f"{node.output[index]} in 16 bits")
            node.output[index] = half if makes else self._names.new(f"{name} exact")
            if not makes:
                casts.append(_cast(node.output[index], half, self._types[name]))
            casts.append(_cast(half, name, self._fp32))
        yield node
        yield from casts

    def _rounds(self, node: onnx.NodeProto) -> bool:
        """Whether a node's result may have more than 16 bits; what leaves a body was rounded inside."""
        return node.op_type not in _EXACT and next(bodies_of(node), None) is None

    def _widen_attributes(self, node: onnx.NodeProto) -> None:
        import numpy as np
        from onnx import numpy_helper

        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in self._halves:
                attribute.i = self._fp32
            if attribute.HasField("t") and attribute.t.data_type in self._halves:
                values = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))

    def _widen(self, kind: onnx.TypeProto) -> None:
        """Make a tensor's type, or that of what a sequence or an optional holds, fp32 where it is of 16 bits."""
        if kind.HasField("sequence_type"):
            self._widen(kind.sequence_type.elem_type)
        elif kind.HasField("optional_type"):
            self._widen(kind.optional_type.elem_type)
        elif kind.tensor_type.elem_type in self._halves:
            kind.tensor_type.elem_type = self._fp32


def _drop_defaults(graph: onnx.GraphProto) -> None:
    """Make constants of the initializers that an application may replace: nobody does here."""
    defaults = overridable(graph)
    inputs = [value for value in graph.input if value.name not in defaults]
    del graph.input[:]
    graph.input.extend(inputs)


def _cast(source: str, target: str, data_type: int) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("Cast", [source], [target], to=data_type)
