"""Weights in files of their own are converted as those inside the model are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import c10
from c10.conversion import convert_network

from .case import network, normal
from .converting import Precision
from .evaluators import reference

_WIDTH = 256
_TEXT = f"g (float[2,{_WIDTH}] x) => (float[2,{_WIDTH}] y) {{a = MatMul (x, w) b = Mul (a, k) y = MatMul (b, w)}}"


def save(folder: Path, *, external: bool) -> Path:
    folder.mkdir()
    model = network(_TEXT, w=normal(_WIDTH, _WIDTH, scale=0.05), k=0.5)
    path = folder / "model.onnx"
    if external:
        (folder / "weights").mkdir()
        onnx.save_model(model, path, save_as_external_data=True, location="weights/all.bin", size_threshold=0)
    else:
        onnx.save_model(model, path)
    return path


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_external_data_is_converted_as_what_is_inside(tmp_path: Path, precision: Precision) -> None:
    written = []
    for external in (True, False):
        given = save(tmp_path / f"external {external}", external=external)
        output = tmp_path / f"{external}.onnx"
        result = convert_network(given, output, precision=precision)
        assert (result.converted, result.weight_share) == (True, 1.0)
        assert output.stat().st_size < 2.5 * _WIDTH**2
        written.append(onnx.load(output))
    assert written[0] == written[1]
    x = normal(2, _WIDTH, seed=1)
    expected, got = (reference(model, {"x": x})[0] for model in (onnx.load(given), written[0]))
    np.testing.assert_allclose(got, expected, atol=(0.01 if precision == "fp16" else 0.08) * np.ptp(expected))


def test_the_output_is_replaced_and_may_be_the_input(tmp_path: Path) -> None:
    given = save(tmp_path / "model", external=False)
    before = given.stat().st_size
    assert c10.convert_network(given, given, precision="fp16").converted
    assert given.stat().st_size < 0.6 * before
    assert [path.name for path in given.parent.iterdir()] == ["model.onnx"]


def test_the_input_is_not_changed(tmp_path: Path) -> None:
    given = save(tmp_path / "model", external=True)
    before = {path: path.read_bytes() for path in given.parent.rglob("*") if path.is_file()}
    convert_network(given, tmp_path / "out.onnx", precision="fp16")
    assert {path: path.read_bytes() for path in given.parent.rglob("*") if path.is_file()} == before
