"""How large the values of a network become on given inputs: what 16 bits cannot hold is then known and not guessed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from c10.conversion.flatten import Names
from c10.conversion.model import Model, copy_of
from c10.conversion.rewrite import name_nodes_apart
from c10.conversion.schema import infer
from c10.measurement.inputs import Feeds
from c10.measurement.network import Network, source_of

if TYPE_CHECKING:
    import onnx


def largest_magnitudes(model: Model, feeds: Iterable[Feeds], folder: Path, *, threads: int = 0) -> dict[str, float]:
    """Return the largest magnitude that each fp32 value of a flattened model has on these inputs, by its name.

    ``folder`` is empty and takes a model that is too large for memory. ``model`` stays as it is. Infinity counts, NaN
    does not. The values inside bodies of If, Loop and Scan are not among them; what leaves the body is. Raises
    NotMeasuredError if the network does not run.
    """
    import numpy as np

    original = model.proto
    model.proto = copy_of(original)
    try:
        name_nodes_apart(model.proto.graph)
        names = _watch(model.proto)
        network = Network(source_of(model, folder), threads=threads, what="the original")
    finally:
        model.proto = original
    largest: dict[str, float] = {}
    for found in map(network.run, feeds):
        for name, value in zip(names, found, strict=True):
            largest[name] = float(np.fmax(largest.get(name, 0.0), value))
    return largest


def _watch(proto: onnx.ModelProto) -> list[str]:
    """Let a model give the largest magnitude of each of its fp32 values, and nothing else; return these values."""
    from onnx import TensorProto, helper

    types, _ = infer(proto)
    names, graph = Names(proto.graph), proto.graph
    made = [value.name for value in graph.input] + [name for node in graph.node for name in node.output]
    watched = [name for name in dict.fromkeys(made) if types.get(name) == TensorProto.FLOAT]
    del graph.output[:]
    for name in watched:
        magnitudes, largest = names.new(f"{name} magnitudes"), names.new(f"{name} largest")
        graph.node.append(helper.make_node("Abs", [name], [magnitudes]))
        graph.node.append(helper.make_node("ReduceMax", [magnitudes], [largest], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    return watched
