"""Finds every node that stays fp32 because of a value that does not fit into 16 bits.

Three sets of values are collected, in passes over the model's sequence:
``unheld``: values that may be out of range, or become 0. They start at constants, operators and integers, and spread
forwards up to the first node whose result fits again.
``exact``: values from which an integer, a size or a position is computed. They spread backwards through arithmetic.
``tiny``: values that are combined with a constant near 0. They spread backwards to the product or power behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from c10.conversion import policy
from c10.conversion.constants import Constants
from c10.conversion.origins import Origin, unheld_origin
from c10.conversion.schema import Shapes, Types
from c10.conversion.steps import Link, Step

Values = dict[str, Origin]  # value → the reason why it is in the set


def keep_unheld(sequence: Sequence[Step | Link], constants: Constants, types: Types, shapes: Shapes) -> None:
    """Keep every node in fp32 that a value of one of the three sets reaches."""
    steps = [item for item in sequence if isinstance(item, Step)]
    roots = _roots(steps)
    unheld: Values = {}
    exact: Values = {}
    tiny: Values = {}

    def forwards(step: Step) -> None:
        _spread_unheld(step, unheld, unheld_origin(step, constants, types, shapes, roots), constants)

    _until_stable(sequence, unheld, forwards, into="target")
    for step in steps:
        _seed_exact(step, exact, types)
        _seed_comparison(step, exact, unheld)
        _seed_offset(step, exact, constants)
        _seed_tiny(step, tiny, constants)
    _seed_accumulators(sequence, exact)
    _until_stable(sequence[::-1], exact, lambda step: _spread_exact(step, exact), into="source")
    _until_stable(sequence[::-1], tiny, lambda step: _spread_tiny(step, tiny), into="source")


def _roots(steps: Iterable[Step]) -> dict[str, str]:
    """Return, for each result that nodes only copy, reshape or negate, the name of the original value."""
    roots: dict[str, str] = {}
    for step in (step for step in steps if step.operator in policy.SAME_MAGNITUDE and step.inputs and step.outputs):
        roots[step.node.output[0]] = roots.get(step.node.input[0], step.node.input[0])
    return roots


def _until_stable(sequence: Sequence[Step | Link], values: Values, visit: Callable[[Step], None], *, into: str) -> None:
    """Pass over the sequence until nothing is added: two passes, and one more for each level of nested loops."""
    before = -1
    while before < len(values):
        before = len(values)
        for item in sequence:
            if isinstance(item, Step):
                visit(item)
            else:
                known, other = (item.source, item.target) if into == "target" else (item.target, item.source)
                if known in values:
                    values.setdefault(other, values[known])


def _spread_unheld(step: Step, unheld: Values, origin: Origin | None, constants: Constants) -> None:
    found = [unheld[name] for name in step.node.input if name in unheld]
    reached = min(found, key=lambda origin: origin.counted, default=None)  # a power takes precedence over a count
    if reached and step.operator not in policy.BLIND:
        step.keep(f"takes a value that may not fit into 16 bits: {reached.words}")
    if reached and _stays_unheld(step, reached, constants) and (origin is None or not reached.counted):
        origin = reached
    if origin is not None:
        unheld.update({name: origin for name in step.outputs if name not in unheld})


def _stays_unheld(step: Step, reached: Origin, constants: Constants) -> bool:
    """Whether the result of a node is about as large as the input that does not fit."""
    small = [constants.small(name) for name in step.node.input]
    if step.operator == "Div":  # a division by a value normalizes; one by a constant leaves a smaller power
        return not reached.counted and small[-1] is not None
    if step.operator == "Mul" and reached.counted:
        return all(values is None or abs(values).max(initial=0) > policy.SCALES_DOWN for values in small)
    if step.operator == "Clip" and len(small) == len(("value", "low", "high")):
        return any(v is None or abs(v).max(initial=0) > policy.FP16_MAX for v in small[1:])
    return step.operator in policy.AS_LARGE


def _seed_exact(step: Step, exact: Values, types: Types) -> None:
    """Mark values that become integers, and the exact inputs of the table of operators."""
    from onnx import TensorProto

    indices: tuple[int, ...] = ()
    if step.operator in {"Cast", "CastLike"}:
        floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
        indices = () if types.get(step.node.output[0]) in floats else (0,)
    elif step.operator in policy.KEPT:
        indices = policy.KEPT[step.operator].exact_inputs
    for index in indices:
        if index < len(step.node.input) and step.node.input[index]:
            exact.setdefault(step.node.input[index], Origin(step.operator))


def _seed_comparison(step: Step, exact: Values, unheld: Values) -> None:
    """Mark both sides of a comparison if one of them does not fit into 16 bits."""
    if step.operator in policy.COMPARISONS and any(name in unheld for name in step.inputs):
        for name in step.inputs:
            exact.setdefault(name, Origin(step.operator))


def _seed_offset(step: Step, exact: Values, constants: Constants) -> None:
    """Mark sums with a large constant: in 16 bits, a small difference of two large values has no digits left."""
    if step.operator in {"Add", "Sub"} and any(map(constants.is_offset, step.inputs)):
        exact.setdefault(step.node.output[0], Origin(f"{step.operator} of a large constant"))


def _seed_accumulators(sequence: Sequence[Step | Link], exact: Values) -> None:
    """Mark values that a loop accumulates over its iterations: a small increment is lost in a large sum."""
    made_by = {name: item for item in sequence if isinstance(item, Step) for name in item.outputs}
    for link in (item for item in sequence if isinstance(item, Link) and item.feedback):
        seen, waiting = set[str](), [link.source]
        while waiting:
            step = made_by.get(waiting.pop())
            if step is not None and step.operator in policy.EXACT_FROM_EXACT:
                waiting += set(step.inputs) - seen
                seen.update(step.inputs)
        if link.target in seen:
            exact.setdefault(link.source, Origin("a sum accumulated by a loop"))


def _spread_exact(step: Step, exact: Values) -> None:
    reached = next((exact[name] for name in step.outputs if name in exact), None)
    if reached and step.operator in policy.EXACT_FROM_EXACT:
        if step.operator not in policy.BLIND:
            step.keep(f"integers or positions are computed from its result: {reached.words}")
        for name in step.inputs:
            exact.setdefault(name, reached)


def _seed_tiny(step: Step, tiny: Values, constants: Constants) -> None:
    if step.operator in policy.TINY_FROM_TINY and any(map(constants.is_tiny, step.node.input)):
        for name in step.inputs:
            tiny.setdefault(name, Origin(step.operator))


def _spread_tiny(step: Step, tiny: Values) -> None:
    reached = next((tiny[name] for name in step.outputs if name in tiny), None)
    if reached and step.operator in policy.TINY_FROM_TINY | policy.MAKES_TINY:
        step.keep(f"its result is combined with a constant too small for 16 bits: {reached.words}")
        for name in step.inputs if step.operator in policy.TINY_FROM_TINY else ():
            tiny.setdefault(name, reached)
