"""Carries out a plan: rounds constants, and inserts casts where 16-bit and fp32 values meet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from c10.conversion import policy
from c10.conversion.flatten import Names
from c10.conversion.model import Model, graphs_of
from c10.conversion.plan import SCHEMA_TYPES, Plan
from c10.conversion.ranges import rounded
from c10.conversion.schema import Slot
from c10.conversion.steps import Step

if TYPE_CHECKING:
    import onnx


def rewrite(model: Model, plan: Plan) -> None:
    """Change the model in place as planned. Its inputs and outputs keep their names and types."""
    rewriting = _Rewriting(model, plan)
    rewriting.change_nodes()
    rewriting.change_outputs()
    rewriting.add_casts()
    name_nodes_apart(model.proto.graph)


class _Rewriting:
    """The state of one rewrite.

    A value of the original model can now exist twice, in 16 bits and in fp32, under two names. ``_casts`` are the Cast
    nodes between the two, by the name of their input.
    """

    def __init__(self, model: Model, plan: Plan) -> None:
        from onnx import TensorProto

        self._model = model
        self._plan = plan
        self._half = TensorProto.FLOAT16 if plan.precision == "fp16" else TensorProto.BFLOAT16
        self._fp32 = TensorProto.FLOAT
        self._graph = model.proto.graph
        self._names = Names(self._graph)
        self._made_by = {name: step for step in plan.steps for name in step.node.output}
        self._wanted_in_fp32 = self._fp32_uses()
        self._as_half: dict[str, str] = {}
        self._as_fp32: dict[str, str] = {}
        self._casts: dict[str, list[onnx.NodeProto]] = {}
        self._now_half = set(plan.halved)  # names of values that now have 16 bits
        for name in {value.name for value in self._graph.output} & plan.halved:
            self._as_half[name], self._as_fp32[name] = self._names.new(f"{name}_{plan.precision}"), name
            self._cast(self._as_half[name], name, self._fp32)

    def change_nodes(self) -> None:
        """Give every node its new inputs and outputs."""
        for step in self._plan.steps:
            node = step.node
            for index, name in enumerate(node.input):
                if self._plan.types.get(name) == self._fp32:
                    node.input[index] = self._input(step, Slot(name, index, is_input=True))
        for step in self._plan.steps:
            for slot in step.halved:
                if not slot.is_input:
                    step.node.output[slot.index] = self._as_half.get(slot.name, slot.name)

    def change_outputs(self) -> None:
        """Make bodies return fp32, and correct the declared types of intermediate values."""
        for graph in graphs_of(self._graph):
            for value in () if graph is self._graph else graph.output:
                if value.name in self._plan.halved:
                    value.name = self._in_fp32(value.name)
            for value in graph.value_info:
                if value.name in self._now_half:
                    value.type.tensor_type.elem_type = self._half

    def add_casts(self) -> None:
        """Insert every Cast after the node that produces its input."""
        for graph in reversed(list(graphs_of(self._graph))):  # bodies first: replacing nodes copies bodies
            sources = [value.name for value in (*graph.input, *graph.initializer)]
            sources += [sparse.values.name for sparse in graph.sparse_initializer]
            nodes = [cast for name in dict.fromkeys(sources) for cast in self._casts.get(name, ())]
            for node in graph.node:
                nodes.append(node)
                nodes += [cast for name in node.output for cast in self._casts.get(name, ())]
            if len(nodes) > len(graph.node):
                _replace_nodes(graph, nodes)

    def _input(self, step: Step, slot: Slot) -> str:
        if slot in step.halved:
            return self._in_half(slot.name)
        if step.operator in policy.BLIND and slot.index == 0 and self._takes_half(step):
            return self._as_half.get(slot.name, slot.name)
        return self._in_fp32(slot.name)

    def _takes_half(self, step: Step) -> bool:
        signature = step.signature
        types = signature.admitted.get(signature.input_variable(0), ()) if signature else ()
        return SCHEMA_TYPES[self._plan.precision] in types

    def _in_half(self, name: str) -> str:
        if name in self._plan.halved:
            return self._as_half.get(name, name)
        if name not in self._as_half:
            self._as_half[name] = self._rounded(name) or self._before_cast(name) or self._cast_to_half(name)
        return self._as_half[name]

    def _in_fp32(self, name: str) -> str:
        if name not in self._plan.halved:
            return name
        if name not in self._as_fp32:
            self._as_fp32[name] = self._names.new(f"{name}_fp32")
            self._cast(self._as_half.get(name, name), self._as_fp32[name], self._fp32)
        return self._as_fp32[name]

    def _rounded(self, name: str) -> str:
        """Round a constant and return the name of the result; return "" for a value that is not a constant."""
        tensor = self._plan.constants.tensors.get(name)
        if tensor is None:
            return ""
        content = rounded(self._model.floats(tensor), self._plan.precision).tobytes()
        if name in self._wanted_in_fp32:
            copy = self._graph.initializer.add(name=self._names.new(f"{name}_{self._plan.precision}"), dims=tensor.dims)
            tensor = copy
        self._model.set_content(tensor, self._half, content)
        self._now_half.add(tensor.name)
        return tensor.name

    def _before_cast(self, name: str) -> str:
        """Return the 16-bit value from which a Cast node made this fp32 value; "" if there is none."""
        step = self._made_by.get(name)
        if step is None or step.operator != "Cast":
            return ""
        source = step.node.input[0]
        return source if self._plan.types.get(source) == self._half else ""

    def _cast_to_half(self, name: str) -> str:
        return self._cast(name, self._names.new(f"{name}_{self._plan.precision}"), self._half)

    def _cast(self, source: str, target: str, data_type: int) -> str:
        from onnx import helper

        node = helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=data_type)
        self._casts.setdefault(source, []).append(node)
        return target

    def _fp32_uses(self) -> set[str]:
        """Return the values that a node or a graph's output uses in fp32."""
        uses = {value.name for graph in graphs_of(self._graph) for value in graph.output}
        for step in self._plan.steps:
            slots = (Slot(name, index, is_input=True) for index, name in enumerate(step.node.input))
            uses.update(slot.name for slot in slots if slot not in step.halved)
        return uses


def name_nodes_apart(graph: onnx.GraphProto) -> bool:
    """Number nodes that share a name, and return whether there were any.

    ONNX Runtime rejects duplicates, and TensorRT's messages name nodes.
    """
    renamed = False
    used: set[str] = set()
    numbers: Counter[str] = Counter()
    for inner in graphs_of(graph):
        for node in inner.node:
            name = node.name
            while node.name and node.name in used:
                numbers[name] += 1
                node.name = f"{name}__{numbers[name] + 1}"
                renamed = True
            used.add(node.name)
    return renamed


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Replace a graph's nodes. Some of the new ones belong to the graph, so all are copied first."""
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)
