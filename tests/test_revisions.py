"""What c10 itself does is an input: a new revision of its converter, or of what it tells a builder, is a rebuild."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from harness import HOST, onnx_bytes

from c10 import BackboneSpec, BuildConfig, EngineCacheEntry, HostCapabilities
from c10.building.build import build_engine
from c10.building.run import RunState
from c10.conversion.report import NetworkReport
from c10.corpus.revisions import CONFIGURE_REVISIONS, CONVERTER_REVISION
from c10.corpus.runtimes import RuntimeKind
from c10.corpus.target import EngineTarget, engine_target
from c10.files.digest import FileDigest, digest_file
from c10.proof.record import read_record
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, Verdict, judge

RUNTIMES: tuple[RuntimeKind, ...] = ("trt", "rtx")
CONVERTED = NetworkReport(types_from="conversion", share=0.99, computing_layers=3)


class Reporting(FakeRuntime):
    """A runtime that says what became of the network, as c10's own do; ``network`` None says nothing."""

    network: NetworkReport | None = None

    def compile_engine(
        self, onnx_path: Path, build_config: BuildConfig, output_path: Path, **how: Any
    ) -> EngineCacheEntry:
        return replace(super().compile_engine(onnx_path, build_config, output_path, **how), network=self.network)


def target_in(folder: Path, runtime: RuntimeKind) -> EngineTarget:
    (folder / "model.onnx").write_bytes(onnx_bytes("model"))
    spec = BackboneSpec(model_name="model", onnx_path=folder / "model.onnx", expected_input_shape=(1, 3, 8, 8))
    host = HostCapabilities(**HOST, rtx_version="1.7.1.116")
    return engine_target(spec, host=host, runtime=runtime, cache_root=folder / "engines")


def built(folder: Path, runtime: RuntimeKind, network: NetworkReport | None) -> EngineTarget:
    target = target_in(folder, runtime)
    compiler = type("Compiler", (Reporting,), {"network": network})(folder / "calls.txt")
    build_engine(target, judged(target), RunState(), compiler)
    assert isinstance(judged(target), Proof)
    return target


def judged(target: EngineTarget) -> Verdict:
    return judge(target, SourceDigests())


def recorded(target: EngineTarget) -> dict[str, Any]:
    runtime: dict[str, Any] = read_record(target.paths.record).definition["internalParameters"]["runtime"]
    return runtime


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> RuntimeKind:
    kind: RuntimeKind = request.param
    return kind


@pytest.mark.parametrize(
    "network",
    [None, NetworkReport(types_from="network"), NetworkReport(types_from="builder")],
    ids=["injected", "network", "builder"],
)
def test_an_unconverted_engine_has_no_converter_in_its_key_and_outlives_its_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeKind, network: NetworkReport | None
) -> None:
    target = built(tmp_path, runtime, network)
    assert (recorded(target)["converter"], recorded(target)["onnx"]) == (None, None)
    assert recorded(target)["configure"] == CONFIGURE_REVISIONS[runtime]
    monkeypatch.setattr("c10.proof.definition.CONVERTER_REVISION", CONVERTER_REVISION + 1)
    monkeypatch.setattr("c10.proof.definition.installed_version", lambda _: "99.0")
    assert isinstance(judged(target), Proof)


def test_a_converted_engine_is_rebuilt_by_another_revision_of_the_converter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeKind
) -> None:
    target = built(tmp_path, runtime, CONVERTED)
    assert recorded(target)["converter"] == f"c10/{CONVERTER_REVISION}"
    assert recorded(target)["onnx"] is not None
    monkeypatch.setattr("c10.proof.definition.CONVERTER_REVISION", CONVERTER_REVISION + 1)
    expected = f"precision converter c10/{CONVERTER_REVISION} → c10/{CONVERTER_REVISION + 1}"
    assert str(judged(target)) == expected


def test_a_converted_engine_is_rebuilt_by_another_onnx_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeKind
) -> None:
    target = built(tmp_path, runtime, CONVERTED)
    monkeypatch.setattr("c10.proof.definition.installed_version", lambda _: "99.0")
    assert str(judged(target)) == f"onnx package {recorded(target)['onnx']} → 99.0"


@pytest.mark.parametrize("network", [None, CONVERTED], ids=["unconverted", "converted"])
def test_every_engine_of_a_runtime_is_rebuilt_by_another_revision_of_what_its_builder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: RuntimeKind, network: NetworkReport | None
) -> None:
    target = built(tmp_path, runtime, network)
    was = CONFIGURE_REVISIONS[runtime]
    (other,) = set(RUNTIMES) - {runtime}
    revisions = dict(CONFIGURE_REVISIONS)
    monkeypatch.setattr("c10.proof.definition.CONFIGURE_REVISIONS", revisions)
    revisions[other] += 1
    assert isinstance(judged(target), Proof)
    revisions[runtime] += 1
    assert str(judged(target)) == f"builder configuration by c10 {was} → {was + 1}"


def test_a_rebuild_that_converts_no_longer_is_recorded_as_such(tmp_path: Path, runtime: RuntimeKind) -> None:
    """Who converted follows from the build and not from the record of the engine that it replaces."""
    target = built(tmp_path, runtime, CONVERTED)
    target.onnx_path.write_bytes(onnx_bytes("in half already"))
    build_engine(target, judged(target), RunState(), Reporting(tmp_path / "calls.txt"))
    assert recorded(target)["converter"] is None
    assert isinstance(judged(target), Proof)


def test_sources_are_hashed_while_the_compiler_runs(tmp_path: Path) -> None:
    hashed = threading.Event()

    def digest(path: Path) -> FileDigest:
        found = digest_file(path)
        hashed.set()
        return found

    class Waiting(Reporting):
        def compile_engine(self, *arguments: Any, **how: Any) -> EngineCacheEntry:
            assert hashed.wait(30), "nothing was hashed during the compile"
            return super().compile_engine(*arguments, **how)

    target = target_in(tmp_path, "trt")
    sources = SourceDigests(digest, clock=lambda: time.time_ns() + 10**10)  # the model was written ten seconds ago
    run = RunState()
    run.sources = sources
    build_engine(target, judged(target), run, Waiting(tmp_path / "calls.txt"))
    assert isinstance(judged(target), Proof)
