"""Decides which nodes of a flattened model compute in 16 bits, and records why the others do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

#: The names of the types in operator schemas.
SCHEMA_TYPES: Final[dict[HalfPrecision, str]] = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}
#: The operator set version from which inference knows the type that Cast returns.
_CAST_IS_INFERRED: Final = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """Which values of a model change their type."""

    precision: HalfPrecision
    """The type that they change to."""
    steps: tuple[Step, ...]
    """The model's nodes in order, with the decision about each."""
    halved: frozenset[str]
    """The names of the values that converted nodes produce in 16 bits."""
    types: Types
    """The type of every value before the conversion."""
    constants: Constants
    """The model's constants."""

    @property
    def converts(self) -> bool:
        """Whether the plan changes anything."""
        return any(step.halved for step in self.steps)

    def computing_layers(self) -> int:
        """Return how many nodes compute in 16 bits, including those that did so before the conversion.

        Nodes that only move values do not count.
        """
        from onnx import TensorProto

        half = TensorProto.FLOAT16 if self.precision == "fp16" else TensorProto.BFLOAT16
        computing = (step for step in self.steps if step.operator not in policy.LAYOUT | policy.BLIND)
        return sum(
            1 for step in computing if step.halved or any(self.types.get(name) == half for name in step.node.output)
        )

    def weight_share(self) -> float:
        """Return which part of the fp32 constants, by bytes, is read in 16 bits: 0 to 1, 0 if there are no constants.

        A constant that is read in both types counts by the part of its reads that are in 16 bits.
        """
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


def make_plan(
    model: Model,
    precision: HalfPrecision,
    keep_fp32: Collection[str] = (),
    largest: Mapping[str, float] | None = None,
) -> Plan:
    """Return the decision about every node of a flattened model.

    ``keep_fp32``: operator types and patterns of node names (as in `fnmatch`); nodes that match stay fp32.
    ``largest``: the largest magnitude of each fp32 value on samples; nodes whose values fp16 cannot hold stay fp32.
    """
    from onnx import TensorProto

    types, shapes = infer(model.proto)
    sequence = sequence_of(model.proto, types, TensorProto.FLOAT)
    steps = tuple(item for item in sequence if isinstance(item, Step))
    constants = Constants(model, precision)
    castable = opsets_of(model.proto).get("", 1) >= _CAST_IS_INFERRED
    for step in steps:
        if not castable:
            step.keep("onnx cannot infer the type of a Cast in this operator set")
        if pattern := next((p for p in keep_fp32 if matches(step, p)), ""):
            step.keep(f"keep_fp32 names it: {pattern}")
        step.keep(_policy_reason(step, precision))
        step.keep(_range_reason(step, precision, largest or {}))
    keep_unheld(sequence, constants, types, shapes)
    for step in steps:
        _decide(step, SCHEMA_TYPES[precision])
    halved = frozenset(slot.name for step in steps for slot in step.halved if not slot.is_input)
    for step in steps:
        if step.operator in policy.BLIND and halved & set(step.node.input):
            step.reason = ""
    return Plan(precision, steps, halved, types, constants)


def _policy_reason(step: Step, precision: HalfPrecision) -> str:
    """Return why the tables of operators keep a node in fp32; "" if they do not."""
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


def _range_reason(step: Step, precision: HalfPrecision, largest: Mapping[str, float]) -> str:
    """Return why values that were seen keep a node; "" if they do not. bf16 has the range of fp32."""
    beyond = any(largest.get(name, 0.0) > policy.FP16_MAX for name in (*step.inputs, *step.outputs))
    return "its values leave fp16's range on the samples" if beyond and precision == "fp16" else ""


def matches(step: Step, pattern: str) -> bool:
    """Whether an entry of ``keep_fp32`` is the operator type of a node, or matches its name."""
    return step.operator == pattern or (bool(step.node.name) and fnmatchcase(step.node.name, pattern))


def unmatched(steps: Sequence[Step], keep_fp32: Collection[str]) -> tuple[str, ...]:
    """Return the patterns that match no node."""
    return tuple(pattern for pattern in keep_fp32 if not any(matches(step, pattern) for step in steps))


def _decide(step: Step, wanted: str) -> None:
    """Mark the node's inputs and outputs that become 16 bits; set its reason if there are none."""
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
    """Return why a node cannot be converted, whatever its values are; "" if it can."""
    if "." in step.operator:
        return "operators of other domains are not converted"
    if step.signature is None:
        return "onnx has no schema for it"
    if step.operator in policy.BLIND:
        return "it accepts its input in any type"
    if next(bodies_of(step.node), None) is not None:
        return "values that enter or leave a body keep their types"
    if not step.plain:
        return "some of its values are not tensors of a known type"
    results = [variable for variable, slots in step.bound.items() if not slots[0].is_input]
    of_its_own = any(len(step.signature.admitted[variable]) > 1 for variable in results)
    of_its_own &= policy.STASH_TYPE not in step.signature.attributes  # there it is the type of mean and deviation
    return "the type of its result is not that of its inputs" if of_its_own else ""
