"""A flattened model as one sequence: its nodes in execution order, and the values that enter and leave bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from c10.conversion.model import bodies_of
from c10.conversion.schema import NOT_PLAIN, Signature, Slot, Types, bound_slots, opsets_of, signature_of

if TYPE_CHECKING:
    import onnx


@dataclass(slots=True, eq=False)
class Step:
    """One node, and the decision about it."""

    node: onnx.NodeProto
    """The node in the model."""
    signature: Signature | None
    """Its operator's schema; None if onnx does not know the operator."""
    inputs: tuple[str, ...]
    """The names of its fp32 inputs."""
    outputs: tuple[str, ...]
    """The names of its fp32 outputs."""
    plain: bool
    """Whether all its values are tensors of a known type (a sequence is not)."""
    bound: dict[str, list[Slot]]
    """Its values by type variable of the schema."""
    reason: str = ""
    """Why it stays fp32; "" if it is converted or has no fp32 values."""
    halved: set[Slot] = field(default_factory=set)
    """Its inputs and outputs that become 16 bits."""

    @property
    def operator(self) -> str:
        """The operator type, after the domain and a dot if the domain is not ONNX's own."""
        domain = self.node.domain
        return self.node.op_type if domain in {"", "ai.onnx"} else f"{domain}.{self.node.op_type}"

    def integer(self, attribute: str, default: int = 0) -> int:
        """Return the value of an integer attribute; ``default`` if the node does not have it."""
        return next((found.i for found in self.node.attribute if found.name == attribute), default)

    def keep(self, reason: str) -> None:
        """Keep the node in fp32 unless ``reason`` is ""; the first reason is recorded."""
        self.reason = self.reason or reason


@dataclass(frozen=True, slots=True)
class Link:
    """A value that enters or leaves a body, and has one name inside and another outside."""

    source: str
    """Its name where it comes from."""
    target: str
    """Its name where it goes to."""
    feedback: bool = False
    """Whether an iteration of a loop passes it to the next one."""


def sequence_of(proto: onnx.ModelProto, types: Types, fp32: int) -> list[Step | Link]:
    """Return a flattened model's nodes and links in an order in which every value is produced before it is used.

    The exception are values that a loop passes to its next iteration. ``fp32``: the number of that type in ``types``.
    """
    opsets = opsets_of(proto)

    def of_graph(graph: onnx.GraphProto) -> Iterator[Step | Link]:
        for node in graph.node:
            yield from _links_into(node)
            for body in bodies_of(node):
                yield from of_graph(body)
            yield _step(node, signature_of(node, opsets), types, fp32)
            yield from _links_out_of(node)

    return list(of_graph(proto.graph))


def _step(node: onnx.NodeProto, signature: Signature | None, types: Types, fp32: int) -> Step:
    inputs, outputs = (
        tuple(name for name in names if types.get(name, NOT_PLAIN) == fp32) for names in (node.input, node.output)
    )
    plain = all(types.get(name, NOT_PLAIN) != NOT_PLAIN for name in (*node.input, *node.output) if name)
    return Step(node, signature, inputs, outputs, plain, bound_slots(node, signature) if signature else {})


def _links_into(node: onnx.NodeProto) -> Iterator[Link]:
    if node.op_type in {"Loop", "Scan"}:
        for body in bodies_of(node):
            skipped = 2 if node.op_type == "Loop" else 0  # the counter and the condition
            inner = [value.name for value in body.input][skipped:]
            yield from map(Link, node.input[len(node.input) - len(inner) :], inner)


def _links_out_of(node: onnx.NodeProto) -> Iterator[Link]:
    if node.op_type not in {"If", "Loop", "Scan"}:
        return
    skipped = 1 if node.op_type == "Loop" else 0  # the condition
    for body in bodies_of(node):
        results = [value.name for value in body.output][skipped:]
        yield from map(Link, results, node.output)
        if node.op_type != "If":
            state = [value.name for value in body.input][2 * skipped :]
            yield from (Link(source, target, feedback=True) for source, target in zip(results, state))  # noqa: B905
