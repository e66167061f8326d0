"""The largest magnitude of each value of a network, on given inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conversion.case import floats, network

from c10.measurement.observed import largest_magnitudes

from .measuring import model_of


def test_the_largest_magnitude_of_all_inputs_counts(tmp_path: Path) -> None:
    model = model_of(
        network(
            """g (float[3] x, int64[1] n) => (float[3] y, int64[1] m) {
            a = Mul (x, k) y = Add (a, one) m = Identity (n)}""",
            k=-1000.0,
            one=1.0,
        ),
        tmp_path,
    )
    before = model.proto.SerializeToString()
    feeds = [{"x": floats(values), "n": np.array([5])} for values in ([1, -2, 0], [0, 0.5, 1], [np.nan, 0, 0])]
    assert largest_magnitudes(model, feeds, tmp_path) == {"x": 2, "a": 2000, "y": 2001}
    assert model.proto.SerializeToString() == before


@pytest.mark.parametrize(("values", "largest"), [([np.inf], np.inf), ([], 0.0), ([np.nan], 0.0)])
def test_what_is_no_number_is_none_and_infinity_is(values: list[float], largest: float, tmp_path: Path) -> None:
    model = model_of(network("g (float[N] x) => (float[N] y) {y = Identity (x)}"), tmp_path)
    assert largest_magnitudes(model, [{"x": floats(values)}], tmp_path) == {"x": largest, "y": largest}


def test_what_leaves_a_body_is_seen(tmp_path: Path) -> None:
    text = """g (float[2] x, bool flag) => (float[2] y) {
        y = If (flag) <then_branch: graph = t () => (float[2] o) {h = Mul (x, k) o = Mul (h, k)},
        else_branch: graph = e () => (float[2] p) {p = Identity (x)}>}"""
    model = model_of(network(text, k=300.0), tmp_path)
    feeds = {"x": floats([1, 2]), "flag": np.array(True)}  # noqa: FBT003
    assert largest_magnitudes(model, [feeds], tmp_path) == {"x": 2, "y": 180000}
