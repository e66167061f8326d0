"""The rules by which a measurement is judged, and its form in the build record."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from c10.measurement.report import MeasurementReport, OutputDeviation

GOOD = OutputDeviation(
    name="scores",
    values=100,
    largest=0.5,
    range=25.0,
    part=0.02,
    cosine=0.999,
    nan=1,
    infinite=2,
    lost=0,
    gained=0,
    shapes=0,
)
REPORT = MeasurementReport(
    precision="fp16",
    inputs_from="samples",
    samples_sha256="ab" * 32,
    inputs=3,
    outputs=(GOOD,),
    library="ort",
)


def with_output(**changes: Any) -> MeasurementReport:
    return replace(REPORT, outputs=(GOOD, replace(GOOD, name="boxes", **changes)))


def test_a_deviation_of_the_tolerance_is_within_it() -> None:
    assert REPORT.missed(0.02) == ()
    assert REPORT.missed(0.0199) == ("output scores: deviates by 0.5, 2 % of its range of 25, more than 1.99 %",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lost": 7}, "output boxes: 7 of 100 values were finite and are NaN or infinite now"),
        ({"gained": 4}, "output boxes: 4 of 100 values were NaN or infinite and are others now"),
        ({"shapes": 1}, "output boxes: another type or shape than the original's for 1 inputs"),
    ],
)
def test_these_miss_every_tolerance_and_are_warned_of(changes: dict[str, int], words: str) -> None:
    assert with_output(**changes).missed(1e9) == (words,)
    assert with_output(**changes).warnings() == (words,)


def test_values_that_were_not_finite_in_the_original_either_miss_nothing() -> None:
    assert with_output(nan=50, infinite=50).missed(0.02) == ()


def test_more_than_five_percent_of_the_range_is_warned_of() -> None:
    assert with_output(part=0.05).warnings() == ()
    (warning,) = with_output(part=0.0501, largest=1.2525).warnings()
    assert warning == "output boxes: deviates by 1.25, 5.01 % of its range of 25, more than 5 %"


@pytest.mark.parametrize("inputs_from", ["synthetic", "samples"])
def test_what_was_not_measured_misses_every_tolerance_and_is_no_warning(inputs_from: Any) -> None:
    report = MeasurementReport(precision="fp16", inputs_from=inputs_from, not_measured="it takes longer than 5 s")
    assert not report.measured
    assert report.missed(1.0) == ("not measured: it takes longer than 5 s",)
    assert report.warnings() == ()


@pytest.mark.parametrize("report", [REPORT, with_output(cosine=None, part=1e300), replace(REPORT, outputs=())])
def test_it_survives_json(report: MeasurementReport) -> None:
    text = json.dumps(report.to_json(), allow_nan=False)
    assert MeasurementReport.from_json(json.loads(text)) == report


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in REPORT.to_json().items() if name != key}


@pytest.mark.parametrize("values", [_without(field.name) for field in fields(REPORT)])
def test_a_report_without_a_field_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        MeasurementReport.from_json(values)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": -1},
        {"inputs": True},
        {"inputs": 1.5},
        {"inputs_from": "dreams"},
        {"precision": 16},
        {"outputs": [{**REPORT.to_json()["outputs"][0], "part": float("nan")}]},
        {"outputs": [{**REPORT.to_json()["outputs"][0], "largest": float("inf")}]},
        {"outputs": [{**REPORT.to_json()["outputs"][0], "range": -1}]},
        {"outputs": [{**REPORT.to_json()["outputs"][0], "lost": "3"}]},
        {"outputs": [{**REPORT.to_json()["outputs"][0], "cosine": -1.1}]},
        {"outputs": 3},
        {"library": "\ud800"},
    ],
)
def test_a_malformed_report_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        MeasurementReport.from_json({**REPORT.to_json(), **changes})
