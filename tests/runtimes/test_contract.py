"""What every CompileEngineCallable does, whoever wrote it: run on the fake, on TensorRT-RTX and, on a GPU, TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runtime import FakeRuntime
from networks import matmul_network

from c10 import BuildConfig, BuildProgress, CompileEngineCallable, EngineBuildError, Sha256Sidecar
from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.errors import SourceError
from c10.files.digest import digest_file
from c10.host import HostCapabilities, probe_host
from c10.runtimes.isolated import IsolatedRuntime

NAME = "matmul__sm87_jp6.2_trt10.3_fp32.engine"
SHAPES = OptimizationProfile.of(
    {"left": ShapeRange((1, 8), (2, 8), (4, 8)), "right": ShapeRange((1, 8), (2, 8), (4, 8))}
)
FP32 = BuildConfig(precision="fp32", profiles=(SHAPES,))


@pytest.fixture(params=["fake", "rtx", pytest.param("trt", marks=pytest.mark.gpu)])
def runtime(request: pytest.FixtureRequest, tmp_path: Path, rtx_host: HostCapabilities) -> CompileEngineCallable:
    if request.param == "fake":
        return FakeRuntime(tmp_path / "calls.txt")
    host = rtx_host if request.param == "rtx" else probe_host()
    return IsolatedRuntime(request.param, host)


@pytest.fixture
def onnx_path(tmp_path: Path) -> Path:
    return matmul_network(tmp_path / "models" / "matmul.onnx")


def test_it_is_a_compile_engine_callable(runtime: CompileEngineCallable) -> None:
    assert isinstance(runtime, CompileEngineCallable)


def test_engine_and_sidecar_lie_at_the_output_path_and_agree(
    runtime: CompileEngineCallable, onnx_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "folder" / NAME
    entry = runtime.compile_engine(onnx_path, FP32, output)
    assert entry.engine_path == output
    assert entry.sha256 == digest_file(output).sha256
    assert Sha256Sidecar.verify(output)
    assert sorted(p.name for p in output.parent.iterdir()) == [NAME, f"{NAME}.sha256"]


def test_the_same_build_gives_the_same_bytes_and_another_precision_others(
    runtime: CompileEngineCallable, onnx_path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "trt" in request.node.callspec.id:
        pytest.skip("TensorRT times its tactics: two builds of one network may differ in bytes")
    first = runtime.compile_engine(onnx_path, FP32, tmp_path / NAME)
    again = runtime.compile_engine(onnx_path, FP32, tmp_path / "again" / NAME)
    half = BuildConfig(precision="fp16", profiles=(SHAPES,))
    other = runtime.compile_engine(onnx_path, half, tmp_path / "half" / NAME)
    assert first.sha256 == again.sha256 != other.sha256


def test_an_older_engine_at_the_path_is_replaced(
    runtime: CompileEngineCallable, onnx_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / NAME
    Sha256Sidecar.write_atomic_and_sidecar(output, b"older")
    entry = runtime.compile_engine(onnx_path, FP32, output)
    assert output.read_bytes() != b"older"
    assert Sha256Sidecar.read(output) == entry.sha256


def test_progress_is_called_with_phases(
    runtime: CompileEngineCallable, onnx_path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seen: list[BuildProgress] = []
    runtime.compile_engine(onnx_path, FP32, tmp_path / NAME, progress=seen.append)
    if "fake" in request.node.callspec.id:
        assert seen == []
        return
    assert {"Parsing", "Publishing"} <= {progress.phase for progress in seen}
    assert all(0 <= progress.step <= max(progress.steps, 0) for progress in seen)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda p: p.write_bytes(b""), id="empty"),
        pytest.param(lambda p: p.write_bytes(p.read_bytes()[:-40]), id="truncated"),
        pytest.param(lambda p: p.write_bytes(b"\xff" * 4096), id="garbage"),
        pytest.param(Path.unlink, id="missing"),
    ],
)
def test_what_is_no_model_is_refused_and_leaves_the_older_engine(
    runtime: CompileEngineCallable,
    onnx_path: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    request: pytest.FixtureRequest,
) -> None:
    if "fake" in request.node.callspec.id:
        pytest.skip("the fake compiles anything")
    output = tmp_path / NAME
    older = Sha256Sidecar.write_atomic_and_sidecar(output, b"older")
    spoil(onnx_path)
    with pytest.raises((EngineBuildError, SourceError), match=r"matmul\.onnx"):
        runtime.compile_engine(onnx_path, FP32, output)
    assert output.read_bytes() == b"older"
    assert Sha256Sidecar.read(output) == older
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
