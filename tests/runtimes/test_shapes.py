"""Inputs, free dimensions and profiles against the real model, on TensorRT-RTX."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from networks import matmul_network

from c10 import BuildConfig, C10ProvisioningConfig, EngineBuildError
from c10.corpus.spec import OptimizationProfile, Shape, ShapeRange
from c10.runtimes.child.network import check_profiles
from c10.runtimes.isolated import IsolatedRuntime

NAME = "matmul__sm80_jpnone_rtx1.7_fp32.engine"


def profile(left: tuple[Shape, Shape, Shape], right: tuple[Shape, Shape, Shape] | None) -> OptimizationProfile:
    ranges = {"left": ShapeRange(*left)}
    if right is not None:
        ranges["right"] = ShapeRange(*right)
    return OptimizationProfile.of(ranges)


SMALL = ((1, 8), (2, 8), (4, 8))
LARGE = ((8, 8), (16, 8), (32, 8))


def compiled(runtime: IsolatedRuntime, tmp_path: Path, *profiles: OptimizationProfile) -> Path:
    onnx_path = matmul_network(tmp_path / "matmul.onnx")
    config = BuildConfig(precision="fp32", profiles=profiles)
    return runtime.compile_engine(onnx_path, config, tmp_path / NAME).engine_path


def test_two_inputs_with_a_free_dimension_in_two_profiles(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    one = compiled(rtx, tmp_path, profile(SMALL, SMALL)).read_bytes()
    two = compiled(rtx, tmp_path, profile(SMALL, SMALL), profile(LARGE, LARGE)).read_bytes()
    assert one != two


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        pytest.param(profile(SMALL, None), "right: expected a shape for a dynamic input, got none", id="missing"),
        pytest.param(
            OptimizationProfile.of({"left": ShapeRange(*SMALL), "rihgt": ShapeRange(*SMALL)}),
            "rihgt: expected one of the model's inputs",
            id="unknown",
        ),
        pytest.param(profile(((1, 8, 1),) * 3, SMALL), "left: expected 2 dimensions, got [1, 8, 1]", id="rank"),
        pytest.param(profile(((1, 9),) * 3, SMALL), "left: expected [-1, 8], got [1, 9]", id="fixed"),
        pytest.param(
            profile(SMALL, LARGE), "right: dimension 'batch': expected (1, 2, 4) as in left, got (8, 16, 32)", id="name"
        ),
    ],
)
def test_a_profile_that_the_model_cannot_take_is_refused_with_the_models_inputs(
    rtx: IsolatedRuntime, tmp_path: Path, wanted: OptimizationProfile, said: str
) -> None:
    with pytest.raises(EngineBuildError) as caught:
        compiled(rtx, tmp_path, wanted)
    assert any(line.startswith(said) for line in caught.value.log)
    assert "model input: left FLOAT [-1, 8]" in caught.value.log
    assert "model input: right FLOAT [-1, 8]" in caught.value.log
    assert not (tmp_path / NAME).exists()


def test_all_problems_are_told_at_once(rtx: IsolatedRuntime, tmp_path: Path) -> None:
    with pytest.raises(EngineBuildError, match="got 3 that do not") as caught:
        compiled(rtx, tmp_path, profile(((1, 9),) * 3, None), profile(SMALL, None))
    assert [line[:10] for line in caught.value.log[:3]] == ["profile 0:", "profile 0:", "profile 1:"]


# Empty dimensions, and inputs that are given by their values

CASES = Path(__file__).parents[1] / "cases" / "shapes"
NEW_KEYS = ShapeRange.fixed((1, 1, 8))


def compiled_case(runtime: IsolatedRuntime, tmp_path: Path, case: str, **inputs: ShapeRange) -> Path:
    profiles = (OptimizationProfile.of(inputs),) if inputs else ()
    config = BuildConfig(precision="fp32", profiles=profiles)
    return runtime.compile_engine(CASES / f"{case}.onnx", config, tmp_path / NAME).engine_path


@pytest.mark.parametrize(
    "past",
    [
        ShapeRange((1, 0, 8), (1, 64, 8), (1, 256, 8)),
        ShapeRange((1, 0, 8), (1, 0, 8), (1, 256, 8)),
        ShapeRange.fixed((1, 0, 8)),
    ],
    ids=str,
)
def test_a_kv_cache_may_be_empty(rtx: IsolatedRuntime, tmp_path: Path, past: ShapeRange) -> None:
    assert compiled_case(rtx, tmp_path, "kv", input=NEW_KEYS, past=past).is_file()


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (
            ShapeRange((1, -1, 8), (1, 64, 8), (1, 256, 8)),
            "past.min: expected dimensions from 0 to 2147483647, got [1, -1, 8]",
        ),
        (ShapeRange.fixed((1, -1, 8)), "past: expected dimensions from 0 to 2147483647, got [1, -1, 8]"),
        (
            ShapeRange((1, 0, 8), (1, 64, 8), (1, 2**62, 8)),  # TensorRT-RTX 1.7 builds it, with a maximum of 0
            f"past.max: expected dimensions from 0 to 2147483647, got [1, {2**62}, 8]",
        ),
    ],
    ids=["min", "fixed", "beyond 32 bits"],
)
def test_a_dimension_that_no_tensor_has_is_refused(
    rtx: IsolatedRuntime, tmp_path: Path, past: ShapeRange, said: str
) -> None:
    with pytest.raises(EngineBuildError) as caught:
        compiled_case(rtx, tmp_path, "kv", input=NEW_KEYS, past=past)
    assert caught.value.log[0] == said
    assert "model input: past FLOAT [1, -1, 8]" in caught.value.log


@pytest.mark.parametrize(
    "starts",
    [
        ShapeRange((0,), (8,), (63,)),
        ShapeRange((-64,), (-1,), (63,)),
        ShapeRange.fixed((-1,)),
        ShapeRange((-5,), (8,), (2**40,)),
    ],
    ids=str,
)
def test_a_shape_input_takes_any_values(rtx: IsolatedRuntime, tmp_path: Path, starts: ShapeRange) -> None:
    wanted = {"input": ShapeRange.fixed((1, 64, 8)), "kv_slice": starts}
    assert compiled_case(rtx, tmp_path, "slice", **wanted).is_file()


@pytest.mark.parametrize(
    ("case", "inputs", "said"),
    [
        (
            "slice",
            {"kv_slice": ShapeRange((0, 1), (0, 1), (5, 6))},
            "kv_slice.min: expected the 1 values of a shape input, got [0, 1]",
        ),
        ("range", {"count": ShapeRange.fixed(())}, "count: expected the 1 values of a shape input, got []"),
        (
            "clipmax",
            {},
            "shape: expected values for a shape input (its values decide shapes), got none: add with your own values: "
            "inputs.shape = {min = [1, 1], opt = [1, 1], max = [1, 1]}",
        ),
        (
            "range",
            {},
            "count: expected values for a shape input (its values decide shapes), got none: add with your own values: "
            "inputs.count = {min = [1], opt = [1], max = [1]}",
        ),
        (
            "clipmax",
            {"input": ShapeRange.fixed((1, 8))},
            "shape: expected values for a shape input (its values decide shapes), got none: add with your own values: "
            "inputs.shape = {min = [1, 1], opt = [1, 1], max = [1, 1]}",
        ),
    ],
    ids=["too many", "none for a scalar", "no profile", "no profile, scalar", "not in the profile"],
)
def test_a_shape_input_without_its_values_is_refused_with_the_line_to_add(
    rtx: IsolatedRuntime, tmp_path: Path, case: str, inputs: dict[str, ShapeRange], said: str
) -> None:
    with pytest.raises(EngineBuildError) as caught:
        compiled_case(rtx, tmp_path, case, **inputs)
    assert caught.value.log[0] == said
    assert any(line.startswith("model input: ") for line in caught.value.log)


@pytest.mark.parametrize("name", ["shape", "input.1", "input:0", "größe", 'a"b', "a\\b"])
def test_the_line_to_add_is_toml_for_any_name(tmp_path: Path, name: str) -> None:
    tensor = SimpleNamespace(name=name, is_shape_tensor=True, shape=(2,), dtype="INT64")
    network = SimpleNamespace(num_inputs=1, get_input=lambda _: tensor)
    with pytest.raises(EngineBuildError) as caught:
        check_profiles(tmp_path / "m.onnx", network, ())
    line = caught.value.log[0].partition("own values: ")[2]
    text = f'[[backbones]]\nmodel_name = "m"\nonnx_path = "m.onnx"\n{line}\n'
    (tmp_path / "backbones.toml").write_text(text, "utf-8")
    (only,) = C10ProvisioningConfig.load(tmp_path / "backbones.toml").backbones
    assert only.shape_profiles() == (OptimizationProfile.of({name: ShapeRange.fixed((1, 1))}),)
