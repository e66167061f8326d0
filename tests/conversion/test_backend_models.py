"""ONNX's own backend test models, converted: valid, and computing what they did.

Every tenth model runs with every test run, all of them under the marker `soak`. A verdict is about the 1,292 that the
figures count (backend_models.py says which); valid and without an error holds for all 2,033.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
import pytest
from onnx import TensorProto

from . import backend_models
from .backend_models import BackendModel
from .comparison import BF16_TOLERANCE, FP16_TOLERANCE, Original, Outcome, classify, touching
from .converting import Converted, Precision, attempt
from .evaluators import IS_ONNXRUNTIME_1_23, is_random

#: Models that deviate, each with why that is no fault of the conversion. Nothing else may.
_MASKED = "scores behind the mask come out as the type's lowest number, -65504 for -3.4e38; ONNX itself expects -inf"
_LARGE = "the inputs are 10000 to 10003, and bf16 goes in steps of 64 there"
_ADDED = "onnx.reference adds thousands of weights up in bf16, which ends at 256"
_STEP = "one step of 255: a remainder of 8 digits rounds to the neighbour"
_PADS = "onnx.reference counts the padding of MaxPool's indices in bf16, and rightly in fp32"
EXPLAINED: dict[Precision, dict[str, str]] = {
    "fp16": {
        "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal": _MASKED,
        "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal": _MASKED,
    },
    "bf16": {
        "test_dynamicquantizelinear_max_adjusted_expanded": _STEP,
        "test_dynamicquantizelinear_min_adjusted_expanded": _STEP,
        "test_logsoftmax_large_number": _LARGE,
        "test_logsoftmax_large_number_expanded": _LARGE,
        "test_logsoftmax_large_number_expanded_ver18": _LARGE,
        "test_maxpool_with_argmax_2d_precomputed_pads": _PADS,
        "test_nllloss_NCd1d2d3d4d5_mean_weight": _ADDED,
        "test_sce_NCd1d2d3d4d5_mean_weight": _ADDED,
        "test_sce_NCd1d2d3d4d5_mean_weight_expanded": _ADDED,
        "test_sce_NCd1d2d3d4d5_mean_weight_log_prob": _ADDED,
        "test_sce_NCd1d2d3d4d5_mean_weight_log_prob_expanded": _ADDED,
        "test_softmax_large_number": _LARGE,
        "test_softmax_large_number_expanded": _LARGE,
        "test_softmax_large_number_expanded_ver18": _LARGE,
    },
}
RIGHT = {"right", "left in fp32, right"}
FAULTS = {"invalid", "raised"}


@dataclass(frozen=True)
class Row:
    """One model: what the converter made of it, and the verdict."""

    model: BackendModel
    original: Original
    converted: Converted
    outcome: Outcome

    @property
    def counts(self) -> bool:
        """Whether the figures count this model."""
        return self.model.counted and self.original.runs and not is_random(self.model.proto)

    def fault(self, precision: Precision) -> str:
        """Say what is wrong with this model; "" if nothing is."""
        verdict = self.outcome.verdict
        unexplained = verdict == "wrong" and self.judged and self.model.name not in EXPLAINED[precision]
        if verdict in FAULTS or unexplained:
            return f"{self.model.name}: {verdict}: {self.outcome.why}"
        silent = verdict == "left in fp32, right" and self.counts and not self.says_why
        return f"{self.model.name}: left in fp32 without a reason" if silent else ""

    @property
    def judged(self) -> bool:
        """Whether the numbers say something."""
        return not is_random(self.model.proto) and (self.original.outputs is None or self.original.runs)

    @property
    def says_why(self) -> bool:
        """Whether each node with fp32 values has its reason in the result, or there is none."""
        result = self.converted.result
        assert result is not None
        said = bool(result.kept) and all(kept.reason for kept in result.kept)
        return said or not touching(self.model.proto, {TensorProto.FLOAT})


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_every_tenth_model_is_valid_and_right(precision: Precision) -> None:
    rows = list(converted_rows(backend_models.every_tenth(), precision))
    assert not (faults := [words for row in rows if (words := row.fault(precision))]), "\n".join(faults)
    assert sum(row.counts for row in rows) > 0.9 * backend_models.COUNTED / 10


@pytest.mark.soak
@pytest.mark.skipif(IS_ONNXRUNTIME_1_23, reason="the figures need an ONNX Runtime that runs ONNX's newest operators")
def test_all_models_in_fp16() -> None:
    rows = list(converted_rows(backend_models.names(), "fp16"))
    if onnx.__version__ == backend_models.ONNX_VERSION:
        assert (len(rows), sum(row.counts for row in rows)) == (backend_models.MODELS, backend_models.COUNTED)
    counts = figures(rows)
    print(f"fp16: {counts}")  # noqa: T201  # shown with -rP
    assert not (faults := [words for row in rows if (words := row.fault("fp16"))]), "\n".join(faults)
    assert counts["right"] >= 1100
    assert counts["right"] + counts["left in fp32, right"] >= 1260


@pytest.mark.soak
def test_all_models_in_bf16() -> None:
    rows = list(converted_rows(backend_models.names(), "bf16"))
    print(f"bf16, at {BF16_TOLERANCE:.0%} by onnx.reference: {figures(rows)}")  # noqa: T201  # shown with -rP
    assert not (faults := [words for row in rows if (words := row.fault("bf16"))]), "\n".join(faults)


def converted_rows(chosen: Iterable[str], precision: Precision) -> Iterator[Row]:
    """Convert and judge each model."""
    for name in chosen:
        model = backend_models.load(name)
        original = Original(model.proto, model.feeds)
        made = attempt(model.proto, precision)
        yield Row(model, original, made, judge(original, made, precision))


def judge(original: Original, made: Converted, precision: Precision) -> Outcome:
    """Return the verdict: fp16 by ONNX Runtime, bf16, which it hardly implements, by `onnx.reference`."""
    if precision == "fp16":
        return classify(original, made.proto, tolerance=FP16_TOLERANCE)
    return classify(original, made.proto, tolerance=BF16_TOLERANCE, judge="onnx.reference")


def figures(rows: Iterable[Row]) -> Counter[str]:
    """Count the verdicts of the models that count."""
    return Counter(row.outcome.verdict for row in rows if row.counts)
