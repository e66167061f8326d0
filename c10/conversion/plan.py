"""Decides which nodes of a flattened model compute in 16 bits, and says why the others do not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import Final

from c10.conversion import policy
from c10.conversion.constants import Constants
from c10.conversion.model import Model, bodies_of
from c10.conversion.result import HalfPrecision, KeptNode
from c10.conversion.schema import Slot, Types, infer, opsets_of
from c10.conversion.spread import keep_unheld
from c10.conversion.steps import Step, sequence_of

#: How the schemas write the types.
SCHEMA_TYPES: Final[dict[HalfPrecision, str]] = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}
#: The operator set from which inference knows the type that a Cast gives.
_CAST_IS_INFERRED: Final = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a model.

    ``steps`` are its nodes in order; ``halved`` are the values that the converted nodes make in 16 bits.
    """

    precision: HalfPrecision
    steps: tuple[Step, ...]
    halved: frozenset[str]
    types: Types
    constants: Constants

    @property
    def converts(self) -> bool:
        """Whether anything is to be changed."""
        return any(step.halved for step in self.steps)

    def computing_layers(self) -> int:
        """Return how many nodes compute in 16 bits, those that did before too; one that only moves values does not."""
        from onnx import TensorProto

        half = TensorProto.FLOAT16 if self.precision == "fp16" else TensorProto.BFLOAT16
        computing = (step for step in self.steps if step.operator not in policy.LAYOUT | policy.BLIND)
        return sum(
            1 for step in computing if step.halved or any(self.types.get(name) == half for name in step.node.output)
        )

    def weight_share(self) -> float:
        """Return which part of the fp32 constants, by bytes, is read in 16 bits; one read in both counts in part."""
        readings: dict[str, list[bool]] = {}
        for step in self.steps:
            for index, name in enumerate(step.node.input):
                if name in step.inputs and name in self.constants.tensors:
                    readings.setdefault(name, []).append(Slot(name, index, is_input=True) in step.halved)
        sizes = {name: prod(self.constants.tensors[name].dims) for name in readings}
        halved = sum(sizes[name] * sum(read) / len(read) for name, read in readings.items())
        return halved / total if (total := sum(sizes.values())) else 0.0

    def kept(self) -> tuple[KeptNode, ...]:
        """Return the nodes with values of fp32 that stay fp32."""
        return tuple(KeptNode(step.node.name, step.operator, step.reason) for step in self.steps if step.reason)


def make_plan(model: Model, precision: HalfPrecision, keep_fp32: Collection[str] = ()) -> Plan:
    """Decide for every node of a flattened model.

    ``keep_fp32`` are operator types and patterns of node names (as in `fnmatch`) that stay fp32 too.
    """
    from onnx import TensorProto

    types, shapes = infer(model.proto)
    sequence = sequence_of(model.proto, types, TensorProto.FLOAT)
    steps = tuple(item for item in sequence if isinstance(item, Step))
    constants = Constants(model, precision)
    castable = opsets_of(model.proto).get("", 1) >= _CAST_IS_INFERRED
    for step in steps:
        if not castable:
            step.keep("its operator set has no Cast whose type onnx infers")
        if pattern := next((p for p in keep_fp32 if matches(step, p)), ""):
            step.keep(f"keep_fp32 names it: {pattern}")
        step.keep(_policy_reason(step, precision))
    keep_unheld(sequence, constants, types, shapes)
    for step in steps:
        _decide(step, SCHEMA_TYPES[precision])
    halved = frozenset(slot.name for step in steps for slot in step.halved if not slot.is_input)
    for step in steps:
        if step.operator in policy.BLIND and halved & set(step.node.input):
            step.reason = ""
    return Plan(precision, steps, halved, types, constants)


def _policy_reason(step: Step, precision: HalfPrecision) -> str:
    """Return why the table of operators keeps a node; "" if it does not."""
    from onnx import TensorProto

    if precision == "bf16" and step.operator in policy.KEPT_IN_BF16:
        return policy.KEPT_IN_BF16[step.operator]
    attribute, reason = policy.KEPT_WITH_ATTRIBUTE.get(step.operator, ("", ""))
    if attribute and step.integer(attribute):
        return reason
    index, reason = policy.KEPT_WITH_INPUT.get(step.operator, (len(step.node.input), ""))
    if index < len(step.node.input) and step.node.input[index]:
        return reason
    row = policy.KEPT.get(step.operator)
    if row is None or step.operator in policy.ONLY_INPUTS:
        return ""
    stashes = step.signature is not None and policy.STASH_TYPE in step.signature.attributes
    if stashes and step.integer(policy.STASH_TYPE, TensorProto.FLOAT) == TensorProto.FLOAT:
        return ""
    return row.reason


def matches(step: Step, pattern: str) -> bool:
    """Whether ``keep_fp32``'s pattern is the operator of a node, or matches its name."""
    return step.operator == pattern or (bool(step.node.name) and fnmatchcase(step.node.name, pattern))


def unmatched(steps: Sequence[Step], keep_fp32: Collection[str]) -> tuple[str, ...]:
    """Return the patterns that match no node."""
    return tuple(pattern for pattern in keep_fp32 if not any(matches(step, pattern) for step in steps))


def _decide(step: Step, wanted: str) -> None:
    """Mark the inputs and outputs that the node takes and gives in 16 bits, or say why there are none."""
    if not step.inputs and not step.outputs:
        step.reason = ""
        return
    step.keep(_untouched(step))
    if step.reason or step.signature is None:
        return
    exact = policy.KEPT[step.operator].exact_inputs if step.operator in policy.ONLY_INPUTS else ()
    for variable, slots in step.bound.items():
        inputs = [slot for slot in slots if slot.is_input]
        fp32 = all(slot.name in step.inputs or slot.name in step.outputs for slot in slots)
        if inputs and fp32 and wanted in step.signature.admitted[variable] and not {s.index for s in inputs} & {*exact}:
            step.halved.update(slots)
    if not step.halved:
        step.keep(f"its schema has no {wanted} for values of these types")


def _untouched(step: Step) -> str:
    """Say why a node stays as it is, whatever its values are; "" if it need not."""
    if "." in step.operator:
        return "operators of other domains stay as they are"
    if step.signature is None:
        return "onnx has no schema of it"
    if step.operator in policy.BLIND:
        return "it takes its value as it comes"
    if next(bodies_of(step.node), None) is not None:
        return "values keep their types where they enter and leave a body"
    if not step.plain:
        return "some of its values are no tensors of a known type"
    results = [variable for variable, slots in step.bound.items() if not slots[0].is_input]
    of_its_own = any(len(step.signature.admitted[variable]) > 1 for variable in results)
    of_its_own &= (
        policy.STASH_TYPE not in step.signature.attributes
    )  # that of mean and deviation, whatever the input is
    return "the type of its result is not that of its inputs" if of_its_own else ""
