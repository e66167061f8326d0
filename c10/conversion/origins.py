"""Finds the nodes whose results may not fit into 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from c10.conversion import policy
from c10.conversion.constants import Constants
from c10.conversion.schema import Shapes, Types
from c10.conversion.steps import Step

if TYPE_CHECKING:
    import onnx

#: Operators that multiply by a constant and sum: if the constant is out of range, so is their result.
_LINEAR = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})


class Origin(NamedTuple):
    """The reason why a value may not fit into 16 bits."""

    words: str
    """The reason for a person: an operator, or the constant that does not fit."""
    counted: bool = True
    """Whether the value is a count or as large as a constant, so that another constant can bring it back into range.
    False for a power of unknown values."""


def unheld_origin(  # noqa: PLR0911 - one line a reason
    step: Step, constants: Constants, types: Types, shapes: Shapes, roots: Mapping[str, str]
) -> Origin | None:
    """Return why a node's result may not fit into 16 bits even if its inputs do; None if it fits.

    A node that has to compute in fp32 for that reason is also kept. ``roots``: for results that a node only copies,
    reshapes or negates, the name of the original value.
    """
    if not step.outputs and not step.inputs:
        return None
    operator = step.operator
    if misfit := constants.attribute_misfit(step.node):
        step.keep(misfit)
        return Origin(misfit)
    for index, name in enumerate(step.node.input):
        if name and (misfit := constants.misfit(step.node, index)):
            step.keep(misfit)
            grows = operator in policy.AS_LARGE or operator in _LINEAR
            if grows or (operator == "Div" and index == 1 and constants.is_tiny(name)):
                return Origin(misfit)
    if operator == "Mul" and len({roots.get(name, name) for name in step.node.input}) == 1:
        step.keep(policy.KEPT["Pow"].reason)
        return Origin("square", counted=False)
    if operator in policy.SUMS and not _is_short(step, constants, shapes):
        step.keep(policy.KEPT["ReduceProd"].reason)
        return Origin(operator) if operator in policy.GROWING_SUMS else None
    if operator in {"Cast", "CastLike"} and types.get(step.node.input[0]) in _wide_integers():
        return Origin(operator)
    row = policy.KEPT.get(operator)
    return Origin(operator, counted=operator in policy.COUNTING) if row is not None and row.wide else None


def _wide_integers() -> frozenset[int]:
    from onnx import TensorProto

    return frozenset({TensorProto.INT32, TensorProto.INT64, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64})


def _is_short(step: Step, constants: Constants, shapes: Shapes) -> bool:
    """Whether a reduction sums at most SHORT_AXIS elements."""
    shape = shapes.get(step.node.input[0])
    if shape is None:
        return False
    axes = _axes(step.node, constants) or range(len(shape))  # if the axes are unknown, assume all
    lengths = [shape[axis] for axis in axes if -len(shape) <= axis < len(shape)]
    return None not in lengths and prod(length or 0 for length in lengths) <= policy.SHORT_AXIS


def _axes(node: onnx.NodeProto, constants: Constants) -> tuple[int, ...] | None:
    """Return the axes of a reduction; () for all, None if they are known only at run time."""
    for attribute in node.attribute:
        if attribute.name == "axes":
            return tuple(attribute.ints)
    if len(node.input) < len(("data", "axes")) or not node.input[1]:
        return ()
    values = constants.small(node.input[1])
    return None if values is None else tuple(int(axis) for axis in values.flat)
