"""Synthetic inputs: within the bounds that the network gives, of the profiles' shapes, and the same on every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conversion.case import network, normal

from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.measurement.inputs import inputs_of
from c10.measurement.report import NotMeasuredError
from c10.measurement.synthetic import synthetic_inputs

from .measuring import model_of

TABLE = normal(50, 8)


def made(proto: onnx.ModelProto, folder: Path, *profiles: OptimizationProfile) -> list[dict[str, Any]]:
    return list(synthetic_inputs(inputs_of(model_of(proto, folder)), profiles))


def bound_of(proto: onnx.ModelProto, folder: Path, name: str = "ids") -> int:
    return next(value.bound for value in inputs_of(model_of(proto, folder)) if value.name == name)


def test_floats_are_normal_and_then_from_0_to_1(tmp_path: Path) -> None:
    first, second = made(network("g (float[64,64] x) => (float[64,64] y) {y = Relu (x)}"), tmp_path)
    assert first["x"].dtype == second["x"].dtype == np.float32
    assert abs(first["x"].mean()) < 0.1
    assert abs(first["x"].std() - 1) < 0.1
    assert 0 <= second["x"].min() < 0.01
    assert 0.99 < second["x"].max() < 1


def test_they_are_the_same_on_every_run(tmp_path: Path) -> None:
    proto = network("g (float[4,4] x, int64[4] i, bool[4] b) => (float[4,4] y) {y = Relu (x)}")
    for one, other in zip(made(proto, tmp_path), made(proto, tmp_path), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in ("x", "i", "b"))
        assert set(one["i"]) <= {0, 1}
        assert one["b"].dtype == np.bool_


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        ("y = Gather (table, ids)", 50),
        ("y = Gather <axis = 1> (table, ids)", 8),
        ("y = Gather <axis = -1> (table, ids)", 8),
        ("c = Cast <to = 6> (ids) r = Reshape (c, flat) y = Gather (table, r)", 50),
        ("a = Gather (table, ids) b = Gather (small, ids) y = Concat <axis = -1> (a, b)", 5),
        ("y = OneHot <axis = -1> (ids, depth, values)", 12),
        ("y = GatherElements (small, e) e = Expand (ids, two)", 5),
        ("g = Gather (lookup, ids) y = Gather (table, g)", 7),  # what is looked up is no longer the input
        ("f = Cast <to = 1> (ids) y = Mul (f, f)", 2),
        ("""y = If (flag) <then_branch: graph = t () => (float[N,8] o) {o = Gather (table, ids)},
            else_branch: graph = e () => (float[N,8] p) {p = Gather (table, flat)}>""", 50),
        ("""y = Loop (n, flag, ids) <body: graph = b (int64 i, bool c, int64[3] s) =>
            (bool co, int64[3] so, float[3,8] o) {so = Identity (s) co = Identity (c) o = Gather (table, s)}>""", 50),
    ],
)  # fmt: skip
def test_an_index_is_below_its_bound(body: str, bound: int, tmp_path: Path) -> None:
    outputs = body.replace("y = Loop", "s9, y = Loop")
    if body.startswith("y = GatherElements"):
        outputs = "e = Expand (ids, two) y = GatherElements (small, e)"
    text = f'<ir_version: 8, opset_import: ["" : 17]>\ng (int64[3] ids) => (y) {{{outputs}}}'
    proto = onnx.parser.parse_model(text)
    values: dict[str, Any] = {"table": TABLE, "small": normal(5, 8), "flat": [-1], "depth": 12, "values": [0.0, 1.0]}
    values |= {"two": [1, 3], "lookup": list(range(7)), "flag": True, "n": 2}
    for name, value in values.items():
        array = np.asarray(value, {list: np.int64, int: np.int64}.get(type(value)))
        array = np.asarray(value, np.float32) if name == "values" else array
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    assert bound_of(proto, tmp_path) == bound
    ids = np.concatenate([feeds["ids"].reshape(-1) for _ in range(20) for feeds in made(proto, tmp_path)])
    assert ids.min() >= 0
    assert ids.max() < bound


def test_all_indices_up_to_the_bound_occur(tmp_path: Path) -> None:
    proto = network("g (int64[999] ids) => (float[999,8] y) {y = Gather (t, ids)}", t=normal(5, 8))
    assert set(np.concatenate([feeds["ids"] for feeds in made(proto, tmp_path)])) == set(range(5))


def test_a_bound_that_the_type_cannot_hold_is_the_types(tmp_path: Path) -> None:
    text = "g (int8[999] ids) => (float[999,8] y) {i = Cast <to = 7> (ids) y = Gather (t, i)}"
    proto = network(text, t=np.zeros((1000, 8), np.float32))
    assert made(proto, tmp_path)[0]["ids"].max() < 127


def test_shapes_are_the_opt_of_each_profile(tmp_path: Path) -> None:
    proto = network("g (float[B,8] x, float[3] z) => (float[B,8] y) {y = Relu (x)}")
    profiles = [OptimizationProfile.of({"x": ShapeRange((1, 8), (b, 8), (9, 8))}) for b in (2, 5)]
    assert [feeds["x"].shape for feeds in made(proto, tmp_path, *profiles)] == [(2, 8), (2, 8), (5, 8), (5, 8)]
    assert made(proto, tmp_path, *profiles)[0]["z"].shape == (3,)


def test_a_dimension_of_minus_1_is_free(tmp_path: Path) -> None:
    proto = network("g (float[B,8] x) => (float[B,8] y) {y = Relu (x)}")
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    profile = OptimizationProfile.of({"x": ShapeRange.fixed((4, 8))})
    assert made(proto, tmp_path, profile)[0]["x"].shape == (4, 8)
    with pytest.raises(NotMeasuredError, match="input x has a free dimension"):
        made(proto, tmp_path)
    (value,) = inputs_of(model_of(proto, tmp_path))
    assert value.shape == (None, 8)


def test_a_free_dimension_without_a_profile_is_refused(tmp_path: Path) -> None:
    proto = network("g (float[B,8] x) => (float[B,8] y) {y = Relu (x)}")
    with pytest.raises(NotMeasuredError, match="input x has a free dimension, and no profile gives it a shape"):
        made(proto, tmp_path)


@pytest.mark.parametrize(
    ("text", "opt", "expected"),
    [
        ("g (float[8] x, int64[1] n) => (float[N] y) {y = Slice (x, zero, n)}", (4,), np.array([4])),
        ("g (float[8] x, int64[1] n) => (float[N] y) {y = Slice (x, zero, n)}", (1,), np.array([1])),
        ("g (float[8] x, int64[2] n) => (float[N,M] y) {y = Reshape (x, n)}", (2, 4), np.array([2, 4])),
        ("g (float[8] x, int64 n) => (float[N] y) {u = Unsqueeze (n, zero) y = Slice (x, zero, u)}", (4,), np.array(4)),
        ("g (float[8] x, int64[1] n) => (float[N] y) {a = Add (n, one) y = Slice (x, zero, a)}", (1,), np.array([1])),
        ("g (float[8] x, int64[D] n) => (float[N,M] y) {y = Reshape (x, n)}", (2, 4), np.array([2, 4])),
    ],
)
def test_an_input_that_decides_shapes_has_its_opt_values(text: str, opt: Any, expected: Any, tmp_path: Path) -> None:
    proto = network(text, zero=np.array([0]), one=np.array([1]))
    for feeds in made(proto, tmp_path, OptimizationProfile.of({"n": ShapeRange.fixed(opt)})):
        np.testing.assert_array_equal(feeds["n"], expected)
        assert feeds["n"].shape == expected.shape


def test_an_integer_input_that_decides_no_shape_has_the_opt_shape(tmp_path: Path) -> None:
    proto = network("g (int64[N] n) => (float[N,8] y) {y = Gather (t, n)}", t=TABLE)
    profile = OptimizationProfile.of({"n": ShapeRange((1,), (7,), (9,))})
    assert made(proto, tmp_path, profile)[0]["n"].shape == (7,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("g (string[2] x) => (string[2] y) {y = Identity (x)}", "input x has values of STRING"),
        ("g (seq(float[2]) x) => (seq(float[2]) y) {y = Identity (x)}", "input x is no tensor of a known rank"),
        ("g (bfloat16[2] x) => (bfloat16[2] y) {y = Identity (x)}", "input x has values of BFLOAT16"),
    ],
)
def test_inputs_that_c10_cannot_make_are_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(NotMeasuredError, match=words):
        made(network(text), tmp_path)


def test_an_initializer_that_is_an_input_too_is_not_fed(tmp_path: Path) -> None:
    proto = network("g (float[2,8] x) => (float[2,8] y) {y = MatMul (x, w)}", w=normal(8, 8))
    proto.graph.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [8, 8]))
    assert list(made(proto, tmp_path)[0]) == ["x"]
