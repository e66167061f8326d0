"""Samples keep in fp32 what leaves fp16's range on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conversion.case import floats, network, normal, uniform

from c10 import convert_network
from c10.errors import EngineBuildError, SourceError

from .measuring import measured

#: Its product leaves the range for inputs of more than 25.6; no constant and no operator says so.
PROTO = network(
    """g (float[2,8] x) => (float[2,8] y) {[first] a = MatMul (x, w) [second] b = MatMul (a, w)
        [back] c = MatMul (b, v) [last] y = MatMul (c, u)}""",
    w=floats(np.eye(8) * 50),
    v=floats(np.eye(8) / 2500),
    u=normal(8, 8),
)
LARGE = {"x": uniform(30, 100, 2, 8)}


def given(folder: Path, *samples: dict[str, Any]) -> tuple[Path, list[Path]]:
    onnx.save(PROTO, folder / "model.onnx")
    for number, sample in enumerate(samples):
        np.savez(folder / f"given{number}.npz", **sample)
    return folder / "model.onnx", sorted(folder.glob("given*.npz"))


def test_what_leaves_the_range_on_the_samples_stays_fp32(tmp_path: Path) -> None:
    path, samples = given(tmp_path, {"x": LARGE["x"] / 100}, LARGE)
    reports = []
    for used in ([], samples):
        result = convert_network(path, tmp_path / "out.onnx", precision="fp16", samples=used)
        reports.append(measured(tmp_path, PROTO, onnx.load(tmp_path / "out.onnx"), [LARGE]))
    without, within = (report.outputs[0] for report in reports)
    assert without.lost > 0
    assert within.lost == 0
    assert within.part < 0.005
    assert [(node.node, node.reason) for node in result.kept] == [
        (name, "its values leave fp16's range on the samples") for name in ("second", "back")
    ]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_samples_within_the_range_change_nothing(tmp_path: Path, precision: Any) -> None:
    path, samples = given(tmp_path, LARGE if precision == "bf16" else {"x": LARGE["x"] / 100})
    for used in ([], samples):
        convert_network(path, tmp_path / f"{len(used)}.onnx", precision=precision, samples=used)
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


def test_a_sample_that_does_not_fit_is_refused_and_nothing_written(tmp_path: Path) -> None:
    path, samples = given(tmp_path, {"x": LARGE["x"].astype(np.float64)})
    with pytest.raises(SourceError, match=r"given0\.npz: x: expected values of float32"):
        convert_network(path, tmp_path / "out.onnx", precision="fp16", samples=samples)
    assert not (tmp_path / "out.onnx").exists()


def test_without_the_library_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, samples = given(tmp_path, LARGE)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineBuildError, match=r"onnxruntime is not installed: pip install 'c10\[check\]'"):
        convert_network(path, tmp_path / "out.onnx", precision="fp16", samples=samples)
    convert_network(path, tmp_path / "out.onnx", precision="fp16")
