"""Running a model: by ONNX Runtime's CPU provider, and by `onnx.reference`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Feeds = Mapping[str, Any]
Run = Callable[[onnx.ModelProto, Feeds], list[Any]]

#: How ONNX Runtime says that a kernel is missing for a type: at the start of a session, or when the node is reached.
_MISSING = ("NOT_IMPLEMENTED", "data type is not supported with", "can't be converted to MLDataType")
_QUIET = 4

#: The last one for Python 3.10. It runs fewer of ONNX's newest operators.
IS_ONNXRUNTIME_1_23 = ort.__version__.startswith("1.23.")

#: Operators whose result is chance. Dropout is one in training mode alone.
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}

ort.set_default_logger_severity(_QUIET)


def onnxruntime(proto: onnx.ModelProto, feeds: Feeds) -> list[Any]:
    """Run a model on ONNX Runtime's CPU provider. It computes most of fp16 in fp32, and implements little of bf16."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _QUIET
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


class LayerNormalization(OpRun):  # type: ignore[misc] # onnx's base is untyped
    """The operator as ONNX defines it: stash_type says in which type the statistics are computed, by default fp32.

    onnx.reference computes them in the input's type instead, where the variance of 300 is infinite in fp16.
    """

    op_domain = ""

    def _run(self, x: Any, scale: Any, bias: Any = None, axis: int = -1, epsilon: float = 1e-5, **_: Any) -> Any:
        axes = tuple(range(axis % x.ndim, x.ndim))
        wide = x.astype(np.float32)
        mean = wide.mean(axes, keepdims=True)
        deviation = 1 / np.sqrt(((wide - mean) ** 2).mean(axes, keepdims=True) + epsilon)
        result = ((wide - mean) * deviation).astype(x.dtype) * scale
        return (result if bias is None else result + bias, mean, deviation)


def reference(proto: onnx.ModelProto, feeds: Feeds) -> list[Any]:
    """Run a model by `onnx.reference`, which computes in the network's own types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows to infinity are a result here
        return list(ReferenceEvaluator(proto, new_ops=[LayerNormalization]).run(None, dict(feeds)))


def is_missing(error: Exception) -> bool:
    """Whether ONNX Runtime refused for want of a kernel, and not because the model is wrong."""
    return any(words in str(error) for words in _MISSING)


def has_broken_attention(proto: onnx.ModelProto) -> bool:
    """Whether this ONNX Runtime has to be spared a model of ONNX's own once it is converted to half.

    1.23, the last for Python 3.10, aborts the whole process on some attention in fp16, and expands Attention whose mask
    is of another type, which the schema allows, into a body of two types. Seen in 1.23.2; 1.32.0 does neither.
    """
    return IS_ONNXRUNTIME_1_23 and proto.graph.name.startswith("test_attention")


def is_random(proto: onnx.ModelProto) -> bool:
    """Whether two runs of a model may differ."""
    return any(_is_chance(node) for graph in graphs(proto.graph) for node in graph.node)


def graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """Return a graph and all graphs inside it."""
    return [graph, *(found for node in graph.node for body in bodies(node) for found in graphs(body))]


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs in a node's attributes."""
    return [body for a in node.attribute for body in ([a.g] if a.HasField("g") else a.graphs)]


def _is_chance(node: onnx.NodeProto) -> bool:
    # From opset 12 on, training mode is Dropout's third input; ONNX Runtime has no older training.
    training = node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])
    return node.op_type in RANDOM or training
