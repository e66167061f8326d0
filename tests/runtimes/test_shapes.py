"""Inputs, free dimensions and profiles against the real model, on TensorRT-RTX."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import matmul_network

from c10 import BuildConfig, EngineBuildError
from c10.corpus.spec import OptimizationProfile, Shape, ShapeRange
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
    with pytest.raises(EngineBuildError, match="got 3 that it cannot") as caught:
        compiled(rtx, tmp_path, profile(((1, 9),) * 3, None), profile(SMALL, None))
    assert [line[:10] for line in caught.value.log[:3]] == ["profile 0:", "profile 0:", "profile 1:"]
