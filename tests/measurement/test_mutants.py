"""The tests fail on a measurement that lacks what it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from c10.measurement import compare, comparison
from c10.measurement.emulation import _Emulation
from c10.measurement.network import Network

from . import test_comparison, test_emulation, test_first_version

Check = Callable[[Path], None]


def _first_version(name: str) -> Check:
    row = next(row for row in test_first_version.WRONG if row[0] == name)
    return lambda folder: test_first_version.test_what_was_wrong_in_silence_misses_the_tolerance(*row, folder)


def _fp16(folder: Path) -> None:
    test_emulation.test_values_are_rounded_and_overflow_as_numpy_does_it("float16", folder)


def _bf16(folder: Path) -> None:
    test_emulation.test_values_are_rounded_and_overflow_as_numpy_does_it("bfloat16", folder)


def _finite(_: Path) -> None:
    test_comparison.test_values_that_are_no_longer_finite_are_counted_and_have_no_deviation()


def _round_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Emulation, "_rounds", lambda *_: False)


def _compare_the_original_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_converted", lambda job, _: Network(job.onnx_path, threads=1, what="the original"))


def _compare_an_output_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = comparison._numbers

    def numbers(expected: Any, _: Any) -> Any:
        return honest(expected, expected)

    monkeypatch.setattr(comparison, "_numbers", numbers)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (_round_nothing, _fp16),
        (_round_nothing, _bf16),
        (_round_nothing, _first_version("fp16-misc/ln_decomposed")),
        (_compare_the_original_with_itself, _first_version("fp16-clip/scale")),
        (_compare_an_output_with_itself, _first_version("loop-shadow/loop_samename")),
        (_compare_an_output_with_itself, _finite),
    ],
)
def test_a_measurement_with_this_defect_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(_made(tmp_path / "right"))
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(_made(tmp_path / "wrong"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
