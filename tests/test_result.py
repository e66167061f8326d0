"""EngineResult: what doit's database gives back is what was put there, or nothing."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from c10 import CompileOutcome
from c10.building.result import EngineResult

DIGEST = "0f" * 32
BUILT = EngineResult(
    outcome=CompileOutcome.BUILT,
    reason="ONNX changed: sha256 0f0f… → f0f0…",
    sha256=DIGEST,
    size=1 << 40,
    build_key=DIGEST[::-1],
    duration_s=0.1 + 0.2,
    network="97 % of its weights in fp16",
    warnings=("a warning", "ein Umlaut: ü"),
    sources={"/models/a.onnx": [DIGEST, [1, 2, 3, 4]]},
)
REUSED = EngineResult(outcome=CompileOutcome.REUSED, reason="intact", sha256=DIGEST, size=0, build_key=DIGEST)


@pytest.mark.parametrize("result", [BUILT, REUSED], ids=["built", "reused"])
def test_json_gives_back_exactly_what_was_saved(result: EngineResult) -> None:
    values = result.to_values()
    saved = json.loads(json.dumps(values))
    assert saved == values  # adopt compares them, and would otherwise save in every run
    assert EngineResult.from_values(saved) == result
    assert values.keys() == {field.name for field in fields(EngineResult)}


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        BUILT.size = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "LOST"},
        {"outcome": []},
        {"reason": None},
        {"sha256": "0f"},
        {"sha256": 7},
        {"size": -1},
        {"size": True},
        {"size": 1.0},
        {"build_key": None},
        {"duration_s": "fast"},
        {"duration_s": -1.0},
        {"duration_s": float("nan")},
        {"duration_s": 10**400},
        {"network": 7},
        {"warnings": "one"},
        {"warnings": [7]},
        {"sources": None},
        {"sources": []},
        {"of_a_later_c10": 1},
    ],
    ids=str,
)
def test_a_damaged_value_is_read_as_absent(change: dict[str, Any]) -> None:
    assert EngineResult.from_values(BUILT.to_values() | change) is None


@pytest.mark.parametrize("name", [field.name for field in fields(EngineResult)])
def test_a_value_that_lacks_a_field_is_read_as_absent(name: str) -> None:
    values = BUILT.to_values()
    del values[name]
    assert EngineResult.from_values(values) is None


@pytest.mark.parametrize("values", [None, 7, "text", [], {}, {"outcome": "REUSED", "sha256": DIGEST, "sources": {}}])
def test_what_is_no_result_is_read_as_absent(values: object) -> None:
    assert EngineResult.from_values(values) is None
