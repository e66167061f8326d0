"""Raises a model's operator set where the precision needs a later one."""

from __future__ import annotations

from typing import Final

from c10.conversion.check import problem_of
from c10.conversion.flatten import flatten
from c10.conversion.model import Model, graphs_of
from c10.conversion.result import HalfPrecision
from c10.conversion.schema import opsets_of

#: The operator set that a precision needs. fp16: from 6 on inference knows the type that Cast gives. bf16: from 22 on
#: all arithmetic takes bfloat16. Source: ONNX's changelog of operators.
NEEDED: Final[dict[HalfPrecision, int]] = {"fp16": 6, "bf16": 22}
#: Operators that onnx's converter takes over unchanged though their meaning changed. Measured with onnx 1.23.
MISREAD: Final = frozenset({"GroupNormalization", "Hardmax"})


def raise_opset(model: Model, precision: HalfPrecision) -> None:
    """Bring a flattened model to the operator set that its conversion needs, with onnx's own converter.

    A model that cannot be brought there stays as it is, and so does what the operator set has no 16 bits for.
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
    # The converter writes the shapes that it infers over the declared ones.
    for after, declared in (
        (model.proto.graph.input, before.graph.input),
        (model.proto.graph.output, before.graph.output),
    ):
        del after[:]
        after.extend(declared)
    if problem_of(model):
        model.proto = before
    model.proto = flatten(model.proto)  # the converter's own constants may have one name in two bodies
