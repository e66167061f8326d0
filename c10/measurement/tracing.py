"""What an integer input is used for: as an index, which has a bound, or to decide shapes.

Followed through the nodes that hand values on, and for shapes through arithmetic too, into bodies and out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from c10.conversion import policy
from c10.conversion.schema import infer
from c10.conversion.steps import Link, Step, sequence_of

if TYPE_CHECKING:
    from c10.conversion.model import Model

#: The inputs whose values make up an operator's result; all inputs for an operator of LAYOUT that has no entry.
_HANDED_ON: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(policy.LAYOUT - {"Concat", "Where"}, (0,)),
    "Cast": (0,),
    "Pad": (0, 2),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "Where": (1, 2),
}
_HANDING_ON: Final = policy.LAYOUT | {"Cast"}
#: Operators that use an input as a position along an axis: the input, and the one with the axis.
_INDEXING: Final = {"Gather": (1, 0), "GatherElements": (1, 0)}
#: The inputs whose values decide the shape of a result.
_SHAPING: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(("ConstantOfShape", "RandomUniform", "RandomNormal"), (0,)),
    **dict.fromkeys(("Reshape", "Expand", "Tile", "Pad", "Split", "TopK", "Squeeze", "Unsqueeze", "OneHot"), (1,)),
    **dict.fromkeys(("Range", "Slice", "Resize", "Upsample"), (0, 1, 2, 3, 4)),
    "CenterCropPad": (1,),
    "Loop": (0,),
}
#: The input among those that is data and does not decide the shape by its values.
_DATA: Final = {"Slice": 0, "Resize": 0, "Upsample": 0}
#: The bound of integers that are not used as indices: they are 0 or 1.
_NO_INDEX: Final = 2


class Trace:
    """The uses of a flattened model's values."""

    def __init__(self, model: Model) -> None:
        self._types, self._shapes = infer(model.proto)
        self._model = model
        self._sequence = sequence_of(model.proto, self._types, -1)
        self._steps = [item for item in self._sequence if isinstance(item, Step)]
        self._constants = {tensor.name: tensor for tensor in model.proto.graph.initializer}

    def index_bound(self, name: str) -> int:
        """Return what a value has to be below if it is used as an index; 2 if it is not, or if that is not known."""
        reached = self._reached(name, _hands_on)
        return max(1, min((bound for step in self._steps for bound in self._bounds(step, reached)), default=_NO_INDEX))

    def decides_shapes(self, name: str) -> bool:
        """Whether the shape of a value follows from this one's values."""
        reached = self._reached(name, _computes)
        return any(
            step.node.input[index] in reached
            for step in self._steps
            for index in _SHAPING.get(step.operator, ())
            if index < len(step.node.input) and _DATA.get(step.operator) != index
        )

    def _reached(self, name: str, passes: Callable[[Step, set[str]], bool]) -> set[str]:
        """Return the values that a value is handed on as."""
        reached, before = {name}, 0
        while before < len(reached):
            before = len(reached)
            for item in self._sequence:
                if isinstance(item, Link):
                    reached |= {item.target} if item.source in reached else set()
                elif passes(item, reached):
                    reached |= {output for output in item.node.output if output}
        return reached

    def _bounds(self, step: Step, reached: set[str]) -> Iterator[int]:
        names = list(step.node.input)
        if step.operator == "OneHot" and names[0] in reached:
            yield from self._constant(names[1])
        index, data = _INDEXING.get(step.operator, (len(names), 0))
        if index < len(names) and names[index] in reached:
            shape = self._shapes.get(names[data], ())
            axis = step.integer("axis")
            size = shape[axis] if -len(shape) <= axis < len(shape) else None
            yield from () if size is None else (size,)

    def _constant(self, name: str) -> Iterator[int]:
        from onnx import numpy_helper

        if name in self._constants and not self._constants[name].external_data:
            yield from map(int, numpy_helper.to_array(self._constants[name]).reshape(-1)[:1])


def _hands_on(step: Step, reached: set[str]) -> bool:
    if step.operator not in _HANDING_ON:
        return False
    names = step.node.input
    indices = _HANDED_ON.get(step.operator, range(len(names)))
    return any(names[index] in reached for index in indices if index < len(names))


def _computes(step: Step, reached: set[str]) -> bool:
    return step.operator in policy.EXACT_FROM_EXACT and any(name in reached for name in step.node.input)
