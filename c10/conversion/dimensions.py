"""Renames free dimensions that share a placeholder name, which some exporters write for unrelated dimensions.

TensorRT treats dimensions of one name as equal, so a model in which every free dimension is called ``?`` (Paddle2ONNX)
could only be built for shapes in which all of them are equal. Source: NVIDIA, "Working with Dynamic Shapes", "Named
Dimensions".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from c10.corpus.spec import OptimizationProfile, ShapeRange

if TYPE_CHECKING:
    import onnx

#: Written by exporters that know no name for a dimension: Paddle2ONNX's ``?``, Python's ``None``, tf2onnx's ``unk__1``.
_PLACEHOLDER: Final = re.compile(r"\?|None|unk__\d+")

_Bounds = tuple[int, int, int]


def set_placeholders_apart(proto: onnx.ModelProto, profiles: tuple[OptimizationProfile, ...]) -> tuple[str, ...]:
    """Give dimensions that share a placeholder a name each, if a profile gives them different sizes.

    Returns the placeholders that were replaced; () if there are none. Other names do not change, nor do placeholders
    that the profiles do not contradict.
    """
    placeholders = tuple(sorted(_contradicted(proto.graph, profiles)))
    number = 0
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info) if placeholders else ():
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in placeholders:
                number += 1
                dimension.dim_param = f"c10_dimension_{number}"
    return placeholders


def _contradicted(graph: onnx.GraphProto, profiles: tuple[OptimizationProfile, ...]) -> set[str]:
    """Return the placeholders of which a profile gives two dimensions different sizes."""
    found: set[str] = set()
    for profile in profiles:
        shapes = dict(profile.inputs)
        seen: dict[str, _Bounds] = {}
        for value in graph.input:
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                bounds = _bounds(shapes.get(value.name), axis)
                if bounds is None or not _PLACEHOLDER.fullmatch(dimension.dim_param):
                    continue
                if seen.setdefault(dimension.dim_param, bounds) != bounds:
                    found.add(dimension.dim_param)
    return found


def _bounds(shapes: ShapeRange | None, axis: int) -> _Bounds | None:
    if shapes is None or axis >= len(shapes.min):
        return None
    return shapes.min[axis], shapes.opt[axis], shapes.max[axis]
