"""What onnxconverter-common (1.16) needs of a model before it converts it rightly. Runs in the child.

May import onnx and numpy, lazily. Each function here steps over one trap of the converter, found on real exports;
tests/runtimes/test_precision.py has a network for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any


def prepare(model: Any, kept_in_fp32: Collection[str]) -> list[str]:
    """Change ``model`` in place; return the names of the nodes that the converter has to be told to leave alone.

    ``kept_in_fp32`` are the operators that the converter itself does not convert.
    """
    _name_nodes(model.graph)
    _detach_outputs(model.graph)
    _write_constants_as_tensors(model.graph)
    _give_own_initializers(model.graph, kept_in_fp32)
    return _casts_to_float(model.graph)


def _name_nodes(graph: Any) -> None:
    """Give every node a name: the converter names the casts that it adds after them, and two would collide."""
    for number, node in enumerate(_nodes(graph)):
        node.name = node.name or f"{node.op_type}_c10_{number}"


def _detach_outputs(graph: Any) -> None:
    """Feed each output through an Identity.

    The converter gives an output its old type back under its own name, also for nodes inside that read it; and
    not at all where a node that stays fp32 makes the output.
    """
    from onnx import helper

    inner = {output.name: f"{output.name}_c10" for output in graph.output}
    for node in _nodes(graph):
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    for name, detached in inner.items():
        graph.node.append(helper.make_node("Identity", [detached], [name], name=f"{detached}_identity"))


def _write_constants_as_tensors(graph: Any) -> None:
    """Write value_float and value_floats as tensors: the converter looks at those alone."""
    import numpy as np
    from onnx import helper, numpy_helper

    for node in _nodes(graph):
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name in {"value_float", "value_floats"}:
                value = np.array(helper.get_attribute_value(attribute), dtype=np.float32)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def _give_own_initializers(graph: Any, kept_in_fp32: Collection[str]) -> None:
    """Give nodes that stay fp32 initializers of their own: the converter would leave shared ones fp32 for all."""
    from onnx import TensorProto

    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    for node in _nodes(graph):
        for index, name in enumerate(node.input if node.op_type in kept_in_fp32 else ()):
            if name in tensors:
                graph.initializer.add().CopyFrom(tensors[name])
                node.input[index] = graph.initializer[-1].name = f"{name}_c10_{node.name}_{index}"


def _casts_to_float(graph: Any) -> list[str]:
    """Return the nodes that cast to fp32: the converter leaves their result fp32 and takes it for fp16."""
    from onnx import TensorProto

    return [
        node.name
        for node in _nodes(graph)
        if node.op_type == "Cast" and any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute)
    ]


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)
