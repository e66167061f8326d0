"""A flattened model as one sequence: its nodes in the order of execution, and what flows into and out of bodies."""

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
    """One node. ``inputs`` and ``outputs`` are its values of fp32, without gaps.

    ``plain``: whether all its values are tensors of known types; a sequence is none.
    ``bound`` are the type variables of its schema with the values that they bind. ``reason`` says why the node stays
    fp32; if it is "" the node is converted, and ``halved`` are its inputs and outputs that change their type.
    """

    node: onnx.NodeProto
    signature: Signature | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    plain: bool
    bound: dict[str, list[Slot]]
    reason: str = ""
    halved: set[Slot] = field(default_factory=set)

    @property
    def operator(self) -> str:
        """The operator's type, behind its domain if that is not ONNX's own."""
        domain = self.node.domain
        return self.node.op_type if domain in {"", "ai.onnx"} else f"{domain}.{self.node.op_type}"

    def integer(self, attribute: str, default: int = 0) -> int:
        """Return the value of an integer attribute."""
        return next((found.i for found in self.node.attribute if found.name == attribute), default)

    def keep(self, reason: str) -> None:
        """Let the node stay fp32; the first reason counts."""
        self.reason = self.reason or reason


@dataclass(frozen=True, slots=True)
class Link:
    """A value of a body or of its node is also ``target``, on the other side of the border.

    ``feedback``: what one turn of a loop hands to the next.
    """

    source: str
    target: str
    feedback: bool = False


def sequence_of(proto: onnx.ModelProto, types: Types, fp32: int) -> list[Step | Link]:
    """Return a flattened model's nodes and links, in an order in which every value comes before its use.

    The value that a loop hands to its next turn is the exception.
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
