"""Flattens a model: functions are inlined, and every value gets a unique name.

In ONNX a body (of If, Loop or Scan) sees the names of the enclosing graphs and may reuse one of them for a value of its
own. Such values are renamed, so that one dictionary is enough for all scopes in later steps.
Source: https://onnx.ai/onnx/repo-docs/IR.html, "Names Within a Graph".
"""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Final

from c10.conversion.model import bodies_of, graphs_of

if TYPE_CHECKING:
    import onnx

#: The first IR version in which an initializer need not be an input as well. Source: onnx.proto, enum Version.
_FREE_INITIALIZERS: Final = 4


class Names:
    """Generates names that no value of a graph has."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Collect the names in ``graph`` and in all graphs inside it."""
        self._used = {name for inner in graphs_of(graph) for name in _defined(inner)}
        self._next = 0

    def new(self, like: str) -> str:
        """Return ``like`` if no value has that name; otherwise an unused name that begins with it."""
        name = like
        while name in self._used:
            self._next += 1
            name = f"{like}__{self._next}"
        self._used.add(name)
        return name


def flatten(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its functions inlined and a unique name for every value; ``proto`` may be changed.

    The names of the model's inputs and outputs stay. Constant nodes of fp32 become initializers.
    """
    import onnx.inliner

    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    _make_initializers_constant(proto)
    _write_out_conditions(proto.graph)
    _rename(proto.graph, Names(proto.graph), ChainMap(), set())
    for graph in graphs_of(proto.graph):
        _lift_constants(graph, proto.graph)
    return proto


def overridable(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the initializers that are inputs as well: an application may override their values."""
    return {tensor.name for tensor in graph.initializer} & {value.name for value in graph.input}


def _make_initializers_constant(proto: onnx.ModelProto) -> None:
    """Remove initializers from the inputs before IR 4: each had to be one, but no runtime lets it be overridden."""
    if proto.ir_version >= _FREE_INITIALIZERS:
        return
    proto.ir_version = _FREE_INITIALIZERS
    for graph in graphs_of(proto.graph):
        constants = overridable(graph)
        inputs = [value for value in graph.input if value.name not in constants]
        del graph.input[:]
        graph.input.extend(inputs)


def _write_out_conditions(main: onnx.GraphProto) -> None:
    """Write out ONNX's default for a loop without a condition, true: TensorRT rejects such a loop otherwise."""
    from onnx import TensorProto, helper

    name = Names(main).new("c10_true")
    loops = [n for graph in graphs_of(main) for n in graph.node if n.op_type == "Loop" and not n.domain]
    for node in (node for node in loops if len(node.input) > 1 and not node.input[1]):
        node.input[1] = name
        if all(tensor.name != name for tensor in main.initializer):
            main.initializer.append(helper.make_tensor(name, TensorProto.BOOL, (), [True]))


def _rename(graph: onnx.GraphProto, names: Names, scope: ChainMap[str, str], taken: set[str]) -> None:
    """Rename values whose name an earlier graph defined; ``taken`` are the names in the graphs so far."""
    own = scope.maps[0]

    def define(name: str) -> str:
        if name and name not in own:
            own[name] = names.new(name) if name in taken else name
            taken.add(own[name])
        return own.get(name, name)

    for value in graph.input:
        value.name = define(value.name)
    for tensor in graph.initializer:
        tensor.name = define(tensor.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = define(sparse.values.name)
    for node in graph.node:
        node.input[:] = [scope.get(name, name) for name in node.input]
        for body in bodies_of(node):
            _rename(body, names, scope.new_child(), taken)
        node.output[:] = [define(name) for name in node.output]
    for value in (*graph.output, *graph.value_info):
        value.name = scope.get(value.name, value.name)


def _lift_constants(graph: onnx.GraphProto, main: onnx.GraphProto) -> None:
    """Turn Constant nodes of fp32 into initializers of the main graph, which are visible in every body."""
    outputs = {value.name for value in graph.output}
    rest = []
    for node in graph.node:
        tensor = None if outputs & set(node.output) else _fp32_constant(node)
        if tensor is None:
            rest.append(node)
        else:
            tensor.name = node.output[0]
            main.initializer.append(tensor)
    if len(rest) < len(graph.node):
        kept = [type(node).FromString(node.SerializeToString()) for node in rest]
        del graph.node[:]
        graph.node.extend(kept)


def _fp32_constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    from onnx import TensorProto, helper

    if node.op_type != "Constant" or node.domain not in {"", "ai.onnx"} or len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    if attribute.name == "value_float":
        return helper.make_tensor("", TensorProto.FLOAT, (), [attribute.f])
    if attribute.name == "value_floats":
        return helper.make_tensor("", TensorProto.FLOAT, (len(attribute.floats),), attribute.floats)
    return attribute.t if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT else None


def _defined(graph: onnx.GraphProto) -> set[str]:
    names = {value.name for value in (*graph.input, *graph.initializer)}
    names |= {sparse.values.name for sparse in graph.sparse_initializer}
    return names.union(*(node.output for node in graph.node))
