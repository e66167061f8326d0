"""On a real device: `pytest -m gpu` on a Jetson or a server with TensorRT gives an answer to believe.

Engines are loaded and run through the TensorRT that built them; memory on the device comes from cuda-python's
driver interface through ctypes, so that nothing but TensorRT and numpy is needed.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import FEATURES, matmul_network

from c10 import BuildConfig, CalibrationCacheError, HostCapabilities, HostProbeError
from c10.corpus.spec import BuildOptions, OptimizationProfile, ShapeRange
from c10.host import probe_host
from c10.runtimes.isolated import IsolatedRuntime
from c10.runtimes.select import builtin_runtime, choose_runtime

pytestmark = pytest.mark.gpu

NAME = "matmul__sm87_jp6.2_trt10.3_fp32.engine"
BATCH = 4


@pytest.fixture(scope="module")
def host() -> HostCapabilities:
    return probe_host()


def test_the_probe_describes_the_device(host: HostCapabilities) -> None:
    assert host.sm is not None, "no GPU: leave out -m gpu here"
    assert host.sm.isdecimal()
    assert host.device_name
    assert host.sm_count is not None
    assert host.sm_count > 0
    assert host.cuda_driver is not None
    assert float(host.cuda_driver) >= 11


def test_the_probed_versions_are_those_that_load(host: HostCapabilities) -> None:
    trt = pytest.importorskip("tensorrt", reason="no TensorRT here")
    assert host.tensorrt_version is not None
    assert trt.__version__.split(".")[:3] == host.tensorrt_version.split(".")[:3]


def test_auto_is_tensorrt_here() -> None:
    pytest.importorskip("tensorrt", reason="no TensorRT here")
    kind, _ = choose_runtime("auto")
    assert kind == "trt"


def test_tensorrt_builds_for_no_other_host(host: HostCapabilities) -> None:
    pytest.importorskip("tensorrt", reason="no TensorRT here")
    other = HostCapabilities(sm="1", jp=host.jp, trt=host.trt, trt_version=host.trt_version)
    with pytest.raises(HostProbeError, match="sm: expected 1, got"):
        builtin_runtime("trt", other)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 2e-2)])
@pytest.mark.parametrize("kind", ["trt", "rtx"])
def test_an_engine_computes_what_the_network_says(
    kind: str, precision: Any, tolerance: float, host: HostCapabilities, tmp_path: Path
) -> None:
    trt = pytest.importorskip("tensorrt_rtx" if kind == "rtx" else "tensorrt", reason=f"no {kind} here")
    model = matmul_network(tmp_path / "matmul.onnx")
    shapes = ShapeRange.fixed((BATCH, FEATURES))
    config = BuildConfig(
        precision=precision,
        profiles=(OptimizationProfile.of({"left": shapes, "right": shapes}),),
        options=BuildOptions(tf32=False),
    )
    runtime = IsolatedRuntime("rtx" if kind == "rtx" else "trt", host)
    entry = runtime.compile_engine(model, config, tmp_path / NAME)
    random = np.random.default_rng(1)
    left, right = (random.standard_normal((BATCH, FEATURES)).astype(np.float32) for _ in range(2))
    weights = np.random.default_rng(0).standard_normal((FEATURES, FEATURES)).astype(np.float32)
    output = run_engine(trt, entry.engine_path.read_bytes(), {"left": left, "right": right}, "sum", left.shape)
    np.testing.assert_allclose(output, left @ weights + right, rtol=tolerance, atol=tolerance)


def test_int8_is_built_from_a_calibration_cache_of_this_tensorrt(host: HostCapabilities, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt", reason="no TensorRT here")
    if not hasattr(trt, "IInt8EntropyCalibrator2"):
        pytest.skip("calibration left TensorRT with version 11")
    cache = tmp_path / "int8.cache"
    number = trt.__version__.split(".")
    header = f"TRT-{int(number[0]) * 10000 + int(number[1]) * 100 + int(number[2])}-EntropyCalibration2\n"
    cache.write_text(header + "".join(f"{name}: 3c010a14\n" for name in ("left", "right", "product", "sum")))
    shapes = ShapeRange.fixed((BATCH, FEATURES))
    config = BuildConfig(
        precision="int8",
        profiles=(OptimizationProfile.of({"left": shapes, "right": shapes}),),
        options=BuildOptions(calibration_cache=cache),
    )
    runtime = IsolatedRuntime("trt", host)
    model = matmul_network(tmp_path / "matmul.onnx")
    assert runtime.compile_engine(model, config, tmp_path / NAME).engine_path.is_file()
    cache.write_text("TRT-8600-EntropyCalibration2\n")
    with pytest.raises(CalibrationCacheError):
        runtime.compile_engine(model, config, tmp_path / NAME)


def test_the_timing_cache_is_kept(host: HostCapabilities, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="no TensorRT here")
    shapes = ShapeRange.fixed((BATCH, FEATURES))
    config = BuildConfig(precision="fp32", profiles=(OptimizationProfile.of({"left": shapes, "right": shapes}),))
    IsolatedRuntime("trt", host).compile_engine(matmul_network(tmp_path / "m.onnx"), config, tmp_path / NAME)
    (kept,) = (tmp_path / ".timing").glob("*.timing")
    assert kept.stat().st_size > 0


def run_engine(trt: Any, plan: bytes, inputs: dict[str, Any], output: str, shape: tuple[int, ...]) -> Any:
    """Run an engine once and return its output, float32 of ``shape``."""
    cuda = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0
    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(plan)
    execution = engine.create_execution_context()
    result = np.zeros(shape, np.float32)
    addresses = {}
    for name, array in {**inputs, output: result}.items():
        address = ctypes.c_uint64()
        assert cuda.cuMemAlloc_v2(ctypes.byref(address), array.nbytes) == 0
        assert cuda.cuMemcpyHtoD_v2(address, array.ctypes.data_as(ctypes.c_void_p), array.nbytes) == 0
        addresses[name] = address
        if name != output:
            execution.set_input_shape(name, array.shape)
        execution.set_tensor_address(name, address.value)
    assert execution.execute_async_v3(0)
    assert cuda.cuCtxSynchronize() == 0
    assert cuda.cuMemcpyDtoH_v2(result.ctypes.data_as(ctypes.c_void_p), addresses[output], result.nbytes) == 0
    return result
