"""Raises the version of a model's operator set if the precision needs a later one."""

from __future__ import annotations

from typing import Final

from c10.conversion.check import problem_of
from c10.conversion.flatten import flatten
from c10.conversion.model import Model, graphs_of
from c10.conversion.result import HalfPrecision
from c10.conversion.schema import opsets_of

#: The first operator set version that a precision can use. fp16: 6, from which inference knows the type that Cast
#: returns. bf16: 22, from which all arithmetic admits bfloat16. Source: ONNX's changelog of operators.
NEEDED: Final[dict[HalfPrecision, int]] = {"fp16": 6, "bf16": 22}
#: Operators that onnx's version converter copies unchanged although their meaning changed. Measured with onnx 1.23.
MISREAD: Final = frozenset({"GroupNormalization", "Hardmax"})


def raise_opset(model: Model, precision: HalfPrecision) -> None:
    """Bring a flattened model to the operator set that its conversion needs, with onnx's version converter.

    If that fails the model does not change, and operators that do not admit 16 bits in its version stay fp32.
    """
    import onnx.version_converter

    wanted = min(NEEDED[precision], onnx.defs.onnx_opset_version())
    operators = {node.op_type for graph in graphs_of(model.proto.graph) for node in graph.node}
    if opsets_of(model.proto).get("", wanted) >= wanted or model.proto.functions or operators & MISREAD:
        return
    before = model.proto
    try:
        model.proto = onnx.version_converter.convert_version(before, wanted)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError, onnx.shape_inference.InferenceError):
        return
    # The version converter overwrites the declared shapes with those that it infers.
    for after, declared in (
        (model.proto.graph.input, before.graph.input),
        (model.proto.graph.output, before.graph.output),
    ):
        del after[:]
        after.extend(declared)
    if problem_of(model):
        model.proto = before
    model.proto = flatten(model.proto)  # the version converter may give constants in two bodies the same name
