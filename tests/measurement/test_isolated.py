"""A measurement in a process of its own: what comes back, and what is said if nothing does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conversion.case import W, X, network, normal
from conversion.converting import convert

from c10.corpus.spec import OptimizationProfile, ShapeRange
from c10.errors import SourceError
from c10.measurement import isolated
from c10.measurement.isolated import measure
from c10.measurement.job import MeasurementJob, MeasurementLimits, decode_job, encode_job
from c10.measurement.samples import find_samples

from .measuring import job_of, measured

PROTO = network("g (float[2,8] x) => (float[2,8] y, float[2,8] z) {y = MatMul (x, w) z = Relu (y)}", w=W)

_FREE = network("g (float[B,8] x) => (float[B,8] y) {y = Relu (x)}")
#: Its indices have a bound that c10 does not see.
_LOOKUP = "g (int64[3] x) => (float[3,8] y) {i = Add (x, k) y = Gather (w, i)}"


@pytest.fixture
def job(tmp_path: Path) -> MeasurementJob:
    return job_of(tmp_path, PROTO, convert(PROTO, "fp16"))


def test_both_networks_are_run_on_synthetic_inputs(job: MeasurementJob) -> None:
    report = measure(job)
    assert report.measured
    assert (report.inputs_from, report.samples_sha256, report.inputs) == ("synthetic", "", 2)
    assert report.library.startswith("onnxruntime ")
    assert [output.name for output in report.outputs] == ["y", "z"]
    for output in report.outputs:
        assert output.values == 32
        assert 0 < output.part < 0.002  # a comparison of an output with itself would find 0
        assert output.cosine is not None
        assert output.cosine > 0.999
    assert not report.warnings()
    assert measure(job) == report
    assert {path.name for path in job.converted_path.parent.iterdir()} == {"original.onnx", "converted.onnx"}


def test_both_networks_are_run_on_the_users_samples(tmp_path: Path) -> None:
    job = job_of(tmp_path, PROTO, convert(PROTO, "fp16"), [{"x": X}, {"x": X * 1e4}, {"x": X * 0}])
    report = measure(job)
    assert (report.inputs_from, report.inputs) == ("samples", 3)
    assert report.samples_sha256 == find_samples(tmp_path, "sample*.npz").sha256
    assert report.outputs[0].range > 1e4


def test_bf16_is_measured_too(tmp_path: Path) -> None:
    report = measure(job_of(tmp_path, PROTO, convert(PROTO, "bf16"), precision="bf16"))
    assert report.precision == "bf16"
    assert 0.001 < report.outputs[0].part < 0.02


def test_a_sample_that_does_not_fit_is_an_error_that_names_it(tmp_path: Path) -> None:
    job = job_of(tmp_path, PROTO, convert(PROTO, "fp16"), [{"x": X.astype(np.float64)}])
    with pytest.raises(SourceError, match=r"sample0\.npz: x: expected values of float32") as caught:
        measure(job)
    assert "numpy.savez" in caught.value.remedy


def test_a_file_that_is_gone_is_an_error(job: MeasurementJob) -> None:
    job.onnx_path.unlink()
    with pytest.raises(SourceError, match=r"original\.onnx: expected a readable file"):
        measure(job)


def test_without_the_library_the_report_says_what_to_install(
    job: MeasurementJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "find_spec", lambda _: None)
    report = measure(job)
    assert report.not_measured == "onnxruntime is not installed: pip install 'c10[check]'"
    assert report.missed(1.0) == (f"not measured: {report.not_measured}",)
    assert not report.outputs


def test_the_extra_of_that_name_brings_the_library() -> None:
    text = (Path(isolated.__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert 'check = ["onnxruntime' in text
    assert 'rtx = ["c10[check]"' in text


def test_a_measurement_that_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    endless = network(
        """g (float[2,8] x) => (float[2,8] y) {y = Loop (n, c, x) <body: graph = b (int64 i, bool c0, float[2,8] s) =>
            (bool co, float[2,8] so) {so = MatMul (s, w) co = Identity (c0)}>}""",
        n=2**60,
        c=True,
        w=W,
    )
    report = measure(job_of(tmp_path, endless, endless, limits=MeasurementLimits(seconds=3)))
    assert report.not_measured == "it takes longer than 3 s"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_measurement_that_needs_too_much_memory_is_broken_off(tmp_path: Path) -> None:
    large = network(
        "g (float[1] x) => (float y) {e = Expand (x, n) y = ReduceMax <keepdims = 0> (e)}", n=np.array([2**30])
    )
    report = measure(job_of(tmp_path, large, large, limits=MeasurementLimits(memory_mb=1024, threads=1)))
    assert report.not_measured == "it needs more than 1024 MiB of memory"


def test_a_process_that_dies_is_told_with_its_signal(job: MeasurementJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_START", "import os; os.write(2, b'a\\nlast words\\n'); os.abort()")
    assert measure(job).not_measured == "the measuring process was killed by SIGABRT: last words"
    monkeypatch.setattr(isolated, "_START", "raise SystemExit(7)")
    assert measure(job).not_measured == "the measuring process ended with 7"


@pytest.mark.parametrize(
    ("original", "converted", "words"),
    [
        (_FREE, _FREE, "input x has a free dimension"),
        (
            PROTO,
            network("g (float[2,8] x) => (float[2,8] z) {z = Relu (x)}"),
            "the converted network has other",
        ),
        (
            onnx.parser.parse_model(
                '<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[2,8] x) => (float[2,8] y) {y = my.F (x)}'
            ),
            PROTO,
            "ONNX Runtime cannot load the original",
        ),
        (
            network(_LOOKUP, w=W, k=np.array([100])),
            network(_LOOKUP, w=W, k=np.array([100])),
            "ONNX Runtime cannot run the original",
        ),
    ],
)
def test_networks_that_do_not_run_are_no_error(
    tmp_path: Path, original: onnx.ModelProto, converted: onnx.ModelProto, words: str
) -> None:
    report = measure(job_of(tmp_path, original, converted))
    assert report.not_measured.startswith(words)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"profiles": (OptimizationProfile.of({"x": ShapeRange((1, 8), (2, 8), (4, 8))}),)},
        {"precision": "bf16", "limits": MeasurementLimits(seconds=1, memory_mb=2, threads=3)},
    ],
)
def test_a_job_survives_its_way_to_the_process(tmp_path: Path, changes: dict[str, Any]) -> None:
    job = replace(job_of(tmp_path, PROTO, PROTO, [{"x": X}]), **changes)
    assert decode_job(encode_job(job)) == job


def test_weights_that_are_symbolic_links_are_read(tmp_path: Path) -> None:
    """ONNX Runtime refuses them; caches of models lay files out so, and TensorRT takes them."""
    (tmp_path / "blobs").mkdir()
    proto = network("g (float[2,8] x) => (float[2,64] y) {y = MatMul (x, w)}", w=normal(8, 64))
    job = job_of(tmp_path, proto, convert(proto, "fp16"))
    onnx.save(proto, job.onnx_path, save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").rename(tmp_path / "blobs/weights")
    (tmp_path / "weights").symlink_to("blobs/weights")
    report = measure(job)
    assert report.not_measured == ""
    assert 0 < report.outputs[0].part < 0.002


def test_weights_too_large_for_a_message_go_to_a_file_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = network("g (float[2,8] x) => (float[2,128] y) {y = MatMul (x, w)}", w=normal(8, 128))
    expected = measured(tmp_path, proto, convert(proto, "fp16"))
    assert not list((tmp_path / "work/converted").iterdir())
    monkeypatch.setattr("c10.measurement.network.EMBEDDED_MAX", 0)
    assert measured(tmp_path, proto, convert(proto, "fp16")) == expected
    assert (tmp_path / "work/converted/weights").stat().st_size >= 8 * 128 * 2


def test_nodes_of_one_name_are_no_hindrance(tmp_path: Path) -> None:
    """ONNX Runtime refuses two nodes of one name; TensorRT takes them."""
    proto = network("g (float[2,8] x) => (float[2,8] y) {[n] a = MatMul (x, w) [n] y = Relu (a)}", w=W)
    assert measured(tmp_path, proto, convert(proto, "fp16")).measured


def test_asking_imports_neither_onnx_nor_numpy_nor_the_library() -> None:
    code = "import sys, c10.measurement.isolated; print(sorted({'onnx', 'numpy', 'onnxruntime'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
