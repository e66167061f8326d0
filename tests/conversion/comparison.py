"""Does a converted network compute what the original does? One verdict for a model, with a sentence why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto

from .evaluators import Feeds, bodies, has_broken_attention, is_missing, onnxruntime, reference

Verdict = Literal["right", "left in fp32, right", "invalid", "raised", "wrong", "not implemented by ONNX Runtime"]
Judge = Literal["ONNX Runtime", "onnx.reference"]

#: Of max(|x|, 1), for each value.
FP16_TOLERANCE, BF16_TOLERANCE = 0.02, 0.05
#: `onnx.reference` has faults of its own: what it makes of the original in fp32 has to be this close to ONNX Runtime.
_REFERENCE_TOLERANCE = 0.001
#: Nodes that hand a value on in another type, and compute nothing.
_CASTS = {"Cast", "CastLike"}


@dataclass(frozen=True)
class Outcome:
    """What became of one model. ``judge`` says who ran it; None where nobody could, or it did not come to that."""

    verdict: Verdict
    why: str
    judge: Judge | None = None


@dataclass(frozen=True)
class Original:
    """A model as it was given, and what it computes."""

    proto: onnx.ModelProto
    feeds: Feeds

    @cached_property
    def complaint(self) -> str:
        """What the full check says of it, "" if it passes."""
        return complaint(self.proto)

    @cached_property
    def outputs(self) -> list[Any] | None:
        """What ONNX Runtime computes; None if it cannot run the model."""
        try:
            return onnxruntime(self.proto, self.feeds)
        except Exception:  # noqa: BLE001  # ONNX Runtime's errors share no base
            return None

    @cached_property
    def by_reference(self) -> list[Any] | None:
        """What `onnx.reference` computes; None if it cannot, or disagrees with ONNX Runtime."""
        try:
            found = reference(self.proto, self.feeds)
        except Exception:  # noqa: BLE001  # whatever its Python raises
            return None
        return found if self.outputs is None or not difference(self.outputs, found, _REFERENCE_TOLERANCE) else None

    @property
    def runs(self) -> bool:
        """Whether ONNX Runtime runs it and no output is NaN: only then does a comparison say something."""
        return self.outputs is not None and not any(_has_nan(value) for value in self.outputs)


def classify(
    original: Original,
    converted: onnx.ModelProto | Exception,
    *,
    tolerance: float = FP16_TOLERANCE,
    judge: Judge = "ONNX Runtime",
    full_check: bool = True,
) -> Outcome:
    """Return what became of a model. ``full_check``: off for converters of which no result passes it."""
    if isinstance(converted, Exception):
        return Outcome("raised", f"{type(converted).__name__}: {converted}")
    if full_check and not original.complaint and (found := complaint(converted)):
        return Outcome("invalid", f"onnx.checker: {found}")
    right: Verdict = "right" if halved(original.proto, converted) else "left in fp32, right"
    spared = original.outputs is None or (right == "right" and has_broken_attention(original.proto))
    try:
        got = None if spared else onnxruntime(converted, original.feeds)
    except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors share no base
        if not is_missing(error):
            return Outcome("invalid", f"ONNX Runtime: {error}")
        return _by_reference(original, converted, right, tolerance)
    if got is None or judge == "onnx.reference":
        return _by_reference(original, converted, right, tolerance)
    assert original.outputs is not None
    return _judged(original.outputs, got, right, tolerance, "ONNX Runtime")


def complaint(proto: onnx.ModelProto) -> str:
    """Return what `onnx.checker` says with full inference, "" if the model passes."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # noqa: BLE001  # ValidationError, InferenceError and protobuf's own share no base
        return str(error) or type(error).__name__
    return ""


def halved(original: onnx.ModelProto, converted: onnx.ModelProto) -> bool:
    """Whether a node computes in fp16 or bf16 that did not before."""
    return len(half_nodes(converted)) > len(half_nodes(original))


def half_nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes, other than casts, that read or write a tensor of fp16 or bf16."""
    return touching(proto, {TensorProto.FLOAT16, TensorProto.BFLOAT16})


def touching(proto: onnx.ModelProto, types: set[int]) -> list[onnx.NodeProto]:
    """Return the nodes, other than casts, that read or write a tensor of one of these types; inner graphs' too."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except Exception:  # noqa: BLE001  # inference raises what it likes on models that the checker refuses too
        inferred = proto
    return _touching(inferred.graph, {}, types)


def difference(expected: Sequence[Any], got: Sequence[Any], tolerance: float) -> str:
    """Say in what two lists of outputs differ; "" if each float is within tolerance × max(|x|, 1), the rest equal."""
    if len(expected) != len(got):
        return f"{len(got)} outputs instead of {len(expected)}"
    found = (_difference(a, b, tolerance) for a, b in zip(expected, got, strict=True))
    return next((f"output {number}: {words}" for number, words in enumerate(found) if words), "")


def deviation(expected: Any, got: Any) -> float:
    """Return the largest |a − b| / max(|a|, 1); infinity where only one is NaN or infinite."""
    a, b = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    with np.errstate(all="ignore"):
        found = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b) / np.maximum(np.abs(a), 1))
    return float(np.nan_to_num(found, nan=np.inf, posinf=np.inf).max(initial=0))


def _by_reference(original: Original, converted: onnx.ModelProto, right: Verdict, tolerance: float) -> Outcome:
    if original.by_reference is None:
        return Outcome("not implemented by ONNX Runtime", "onnx.reference cannot judge it either")
    try:
        got = reference(converted, original.feeds)
    except Exception as error:  # noqa: BLE001  # whatever its Python raises
        return Outcome("not implemented by ONNX Runtime", f"onnx.reference: {type(error).__name__}: {error}")
    return _judged(original.by_reference, got, right, tolerance, "onnx.reference")


def _judged(expected: Sequence[Any], got: Sequence[Any], right: Verdict, tolerance: float, judge: Judge) -> Outcome:
    words = difference(expected, got, tolerance)
    return Outcome("wrong" if words else right, words or f"within {tolerance:.0%}", judge)


def _difference(expected: Any, got: Any, tolerance: float) -> str:
    if expected is None or got is None:
        return "" if expected is got else "one is None"
    if isinstance(expected, list):
        return difference(expected, got, tolerance)
    a, b = np.asarray(expected), np.asarray(got)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{b.dtype} of shape {b.shape} instead of {a.dtype} of {a.shape}"
    if a.dtype.kind not in "fcV":  # V: the short floats of ml_dtypes
        return "" if np.array_equal(a, b) else "other values"
    found = deviation(a, b)
    return "" if found <= tolerance else f"deviates by {found:.3g}"


def _has_nan(value: Any) -> bool:
    if value is None or isinstance(value, list):
        return any(_has_nan(part) for part in value or ())
    return np.asarray(value).dtype.kind == "f" and bool(np.isnan(value).any())


def _touching(graph: onnx.GraphProto, outer: dict[str, int], wanted: set[int]) -> list[onnx.NodeProto]:
    types = {**outer, **{tensor.name: tensor.data_type for tensor in graph.initializer}}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    found = []
    for node in graph.node:
        touched = {types.get(name) for name in (*node.input, *node.output) if name}
        found += [node] if node.op_type not in _CASTS and touched & wanted else []
        for body in bodies(node):
            found += _touching(body, types, wanted)
    return found
