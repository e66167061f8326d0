"""EngineCompiler: doit driven from Python, with nothing of doit's showing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import coarse_clock
import pytest
from doit.globals import Globals
from fake_runtime import FakeRuntime, planned
from harness import HOST, MODELS, Corpus, doit, onnx_bytes, request_of
from scripted_runtime import Runtime, write

from c10 import (
    BackboneSpec,
    C10Error,
    C10ProvisioningConfig,
    CompileEngineCallable,
    CompileOutcome,
    EngineBuildError,
    EngineCacheEntry,
    EngineCompiler,
    EngineCompileRequest,
    EngineCompileSummary,
    HostCapabilities,
    HostProbeError,
    Sha256Sidecar,
    SourceError,
    build_engine_compiler,
)
from c10.host.probe import forget_host
from c10.proof.record import read_record


def compile_with(corpus: Corpus, runtime: CompileEngineCallable) -> tuple[Any, ...]:
    return EngineCompiler(runtime).compile_engines_for_corpus(request_of(corpus))


def test_results_in_order_with_all_that_is_known_of_each(corpus: Corpus) -> None:
    corpus.models = ("lightglue", "aliked", "dinov2_vpr")
    results = compile_with(corpus.write(), planned(corpus.folder)[1])
    assert [result.model_name for result in results] == ["lightglue", "aliked", "dinov2_vpr"]
    for result in results:
        assert result.outcome is CompileOutcome.BUILT
        assert result.entry.engine_path == corpus.engine(result.model_name)
        assert result.entry.sha256 == Sha256Sidecar.read(result.entry.engine_path)
        assert result.entry.size == result.entry.engine_path.stat().st_size
        record = read_record(Path(f"{result.entry.engine_path}.json"))
        assert result.entry.build_key == record.build_key
        assert result.compile_duration_s == record.compile_duration_s
    warm = compile_with(corpus, planned(corpus.folder)[1])
    assert [result.entry for result in warm] == [result.entry for result in results]
    assert {result.outcome for result in warm} == {CompileOutcome.REUSED}


def test_summary_counts_results(corpus: Corpus) -> None:
    corpus.models = ("aliked",)
    compile_with(corpus.write(), planned(corpus.folder)[1])
    corpus.models = MODELS
    results = compile_with(corpus.write(), planned(corpus.folder)[1])
    summary = EngineCompileSummary.from_results(results)
    assert (summary.engines_built, summary.engines_reused) == (2, 1)
    assert summary.compile_duration_s == sum(r.compile_duration_s for r in results if r.compile_duration_s)
    assert EngineCompileSummary.from_results(()) == EngineCompileSummary(
        engines_built=0, engines_reused=0, compile_duration_s=0.0
    )


def test_outcomes_are_their_words() -> None:
    assert [(outcome.name, outcome.value) for outcome in CompileOutcome] == [("BUILT", "BUILT"), ("REUSED", "REUSED")]


def test_the_call_of_the_interface(tmp_path: Path) -> None:
    """As a program writes it: keyword arguments, text for paths, an entry of two fields."""
    (tmp_path / "m.onnx").write_bytes(onnx_bytes("m"))
    spec = BackboneSpec(
        model_name="dinov2_vpr",
        onnx_path=tmp_path / "m.onnx",
        expected_input_shape=(1, 3, 322, 322),
        input_name="input",
    )
    request = EngineCompileRequest(
        backbones=[spec],  # type: ignore[arg-type] # a list is taken too
        cache_root=str(tmp_path / "cache"),  # type: ignore[arg-type] # and text
        host=HostCapabilities(sm="87", jp="6.2", trt="10.3"),
        precision="fp16",
        workspace_mb=4096,
    )
    (result,) = EngineCompiler(Runtime(write)).compile_engines_for_corpus(request)
    assert result.entry.engine_path == tmp_path / "cache/dinov2_vpr__sm87_jp6.2_trt10.3_fp16.engine"
    assert result.entry.sha256 == Sha256Sidecar.read(result.entry.engine_path)


def test_says_nothing_and_writes_no_database(
    corpus: Corpus, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    compile_with(corpus, planned(corpus.folder)[1])
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["checkout"]


def test_doits_files_in_the_working_directory_do_not_count(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "doit.cfg").write_text("[GLOBAL]\nreporter = zero\nbackend = nonsense\ndep_file = here.db\n")
    (tmp_path / "pyproject.toml").write_text('[tool.doit]\nreporter = "nonsense"\n')
    (tmp_path / "dodo.py").write_text("raise SystemExit('loaded')\n")
    monkeypatch.chdir(tmp_path)
    assert len(compile_with(corpus, planned(corpus.folder)[1])) == 3


def test_a_cache_root_relative_to_the_working_directory(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    request = replace(request_of(corpus), cache_root=Path("here"))
    EngineCompiler(planned(corpus.folder)[1]).compile_engines_for_corpus(request)
    assert len(list((tmp_path / "here").glob("*.engine"))) == 3


def test_doits_globals_come_back(corpus: Corpus) -> None:
    before = Globals.dep_manager
    try:
        Globals.dep_manager = marker = object()
        compile_with(corpus, planned(corpus.folder)[1])
        assert Globals.dep_manager is marker
        corpus.failures = {"aliked": "EngineBuildError"}
        corpus.onnx("aliked").write_bytes(b"")
        with pytest.raises(EngineBuildError):
            compile_with(corpus.write(), planned(corpus.folder)[1])
        assert Globals.dep_manager is marker
    finally:
        Globals.dep_manager = before


IN_A_TASK = """
from pathlib import Path
from c10 import EngineCompiler
from fake_runtime import planned
import harness

def compile_them():
    corpus = harness.Corpus(Path("inner"))
    results = EngineCompiler(planned(corpus.folder)[1]).compile_engines_for_corpus(harness.request_of(corpus))
    print([result.outcome.value for result in results])

def task_outer():
    return {"actions": [compile_them], "file_dep": ["dodo.py"], "targets": [], "verbosity": 2}
"""


def test_inside_a_task_of_another_doit(tmp_path: Path) -> None:
    Corpus(tmp_path / "inner").write()
    (tmp_path / "dodo.py").write_text(IN_A_TASK)
    first = doit(tmp_path, "outer")
    assert first.returncode == 0, first.stderr
    assert "['BUILT', 'BUILT', 'BUILT']" in first.stdout
    second = doit(tmp_path, "outer")
    assert second.stdout == "-- outer\n"  # the outer run's database is the outer run's


def test_from_another_thread(corpus: Corpus) -> None:
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.extend(compile_with(corpus, Runtime(write)))
        except C10Error as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors, errors
    assert len(results) == 3


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, OSError, MemoryError])
def test_whatever_a_runtime_raises_reaches_the_caller(corpus: Corpus, kind: type[Exception]) -> None:
    raised = kind("a defect of the runtime")

    def fail(*_: Path) -> EngineCacheEntry:
        raise raised

    with pytest.raises(kind) as caught:
        compile_with(corpus, Runtime(fail))
    assert caught.value is raised
    assert not list(corpus.engines.glob("*.engine*"))


def test_ctrl_c_ends_the_run_and_leaves_it_usable(corpus: Corpus) -> None:
    def interrupt(*_: Path) -> EngineCacheEntry:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_with(corpus, Runtime(interrupt))
    assert not list(corpus.engines.glob("*.engine*"))
    assert len(compile_with(corpus, Runtime(write))) == 3


def write_nothing(onnx_path: Path, output_path: Path) -> EngineCacheEntry:  # noqa: ARG001
    return EngineCacheEntry(engine_path=output_path, sha256="0" * 64)


def write_without_sidecar(onnx_path: Path, output_path: Path) -> EngineCacheEntry:  # noqa: ARG001
    output_path.parent.mkdir(exist_ok=True)
    output_path.write_bytes(b"engine")
    return EngineCacheEntry(engine_path=output_path, sha256="0" * 64)


def write_and_lie(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    return replace(write(onnx_path, output_path), sha256="0" * 64)


def write_the_sidecar_alone(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    entry = write(onnx_path, output_path)
    output_path.unlink()
    return entry


@pytest.mark.parametrize("how", [write_nothing, write_without_sidecar, write_and_lie, write_the_sidecar_alone])
def test_a_runtime_that_does_not_keep_its_promise(corpus: Corpus, how: Any) -> None:
    with pytest.raises(EngineBuildError) as caught:
        compile_with(corpus, Runtime(how))
    assert "dinov2_vpr" in caught.value.message
    assert not list(corpus.engines.glob("*.json"))  # nothing was committed, so nothing will be reused
    assert len(compile_with(corpus, Runtime(write))) == 3


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_an_onnx_that_changes_while_it_is_compiled_is_no_build(corpus: Corpus, what: str) -> None:
    def change(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        if what == "changed":
            onnx_path.write_bytes(onnx_bytes("written to meanwhile"))
        else:
            onnx_path.unlink()
        return write(onnx_path, output_path)

    with pytest.raises(SourceError, match=r"dinov2_vpr"):
        compile_with(corpus, Runtime(change))
    assert not list(corpus.engines.glob("*.json"))


def source_digest(corpus: Corpus, model: str) -> str:
    record = read_record(Path(f"{corpus.engine(model)}.json"))
    (onnx,) = [d for d in record.definition["resolvedDependencies"] if d["name"] == "onnx"]
    return str(onnx["digest"]["sha256"])


@pytest.mark.parametrize("clock", [coarse_clock.just_after, coarse_clock.long_after])
def test_a_second_run_in_a_process_uses_no_digest_of_the_first(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, clock: Callable[[], int]
) -> None:
    """The ONNX is rewritten in place and stat does not show it."""
    coarse_clock.stop(monkeypatch)
    compiler = EngineCompiler(Runtime(write), clock=clock)
    compiler.compile_engines_for_corpus(request_of(corpus))
    corpus.onnx("aliked").write_bytes(new := onnx_bytes("ALIKED"))
    results = compiler.compile_engines_for_corpus(request_of(corpus))
    outcomes = {result.model_name: result.outcome.value for result in results}
    assert outcomes == {"dinov2_vpr": "REUSED", "lightglue": "REUSED", "aliked": "BUILT"}
    assert source_digest(corpus, "aliked") == hashlib.sha256(new).hexdigest()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_onnx_rewritten_under_the_same_stamp_while_it_is_compiled_is_no_build(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """What the compiler read is not known: neither before nor after it has opened the file may a write go unseen."""
    coarse_clock.stop(monkeypatch)

    def change(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        other = onnx_bytes(onnx_path.stem.upper())
        if moment == "before":
            onnx_path.write_bytes(other)
        entry = write(onnx_path, output_path)
        if moment == "after":
            onnx_path.write_bytes(other)
        return entry

    with pytest.raises(SourceError, match="expected sources that stay as they are"):
        EngineCompiler(Runtime(change), clock=coarse_clock.just_after).compile_engines_for_corpus(request_of(corpus))
    assert not list(corpus.engines.glob("*.json"))


def test_a_request_without_a_host_is_for_this_machine(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    here = HostCapabilities(**HOST)
    monkeypatch.setattr("c10.building.targets.probe_host", lambda **_: here)
    request = replace(request_of(corpus), host=None)
    assert len(EngineCompiler(Runtime(write)).compile_engines_for_corpus(request)) == 3
    assert corpus.engine("aliked").is_file()


def test_without_a_host_this_machine_is_probed_for_each_run(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.models = ("aliked",)
    request = replace(request_of(corpus.write()), host=None)
    compiler = EngineCompiler(Runtime(write, "rtx"))
    monkeypatch.setattr("c10.host.tensorrt.probe_tensorrt_rtx", lambda: "1.7.0")
    seen = []
    try:
        for power_mode in ("MAXN", "15W"):  # as nvpmodel sets it between two runs of a service
            monkeypatch.setattr("c10.host.probe._power_mode", lambda mode=power_mode: mode)
            corpus.onnx("aliked").write_bytes(onnx_bytes(power_mode))
            (result,) = compiler.compile_engines_for_corpus(request)
            seen.append(read_record(Path(f"{result.entry.engine_path}.json")).power_mode)
    finally:
        forget_host()
    assert seen == ["MAXN", "15W"]


def test_a_compiler_of_a_configuration_knows_the_host_that_it_was_made_for(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container says its JetPack in the configuration; to probe once more without it would fail."""
    here = HostCapabilities(**HOST)
    asked: list[Any] = []
    monkeypatch.setattr(
        "c10.plugin.compiler.choose_runtime", lambda *_, jetpack: asked.append(jetpack) or ("trt", here)
    )
    monkeypatch.setattr("c10.plugin.compiler.builtin_runtime", lambda *_: Runtime(write, "trt"))
    monkeypatch.delattr("c10.building.targets.probe_host")
    compiler = build_engine_compiler(C10ProvisioningConfig(jetpack="6.2"))
    assert len(compiler.compile_engines_for_corpus(replace(request_of(corpus), host=None))) == 3
    assert asked == ["6.2"]
    assert corpus.engine("aliked").is_file()


@pytest.mark.parametrize("cached", [False, True])
def test_a_missing_onnx_is_an_error_that_names_it(corpus: Corpus, cached: bool) -> None:  # noqa: FBT001
    if cached:
        compile_with(corpus, Runtime(write))
    corpus.onnx("lightglue").unlink()
    with pytest.raises(C10Error, match=r"models/lightglue\.onnx"):
        compile_with(corpus, Runtime(write))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("trt", "aliked__sm87_jp6.2_trt10.3_fp16.engine"),
        ("rtx", "aliked__sm80.86.89.120+_jpnone_rtx1.7_fp16.engine"),
        (None, "aliked__sm87_jp6.2_trt10.3_fp16.engine"),
    ],
)
def test_an_injected_runtime_may_say_whose_engines_it_makes(corpus: Corpus, kind: str | None, name: str) -> None:
    corpus.host["rtx_version"] = "1.7.1"
    compile_with(corpus.write(), Runtime(write, kind))
    assert (corpus.engines / name).is_file()


def test_a_host_without_that_tensorrt_cannot_be_named(corpus: Corpus) -> None:
    with pytest.raises(HostProbeError, match="expected TensorRT-RTX, found none"):
        compile_with(corpus, Runtime(write, "rtx"))
    corpus.host["sm"] = None
    with pytest.raises(HostProbeError, match="expected a GPU, found none"):
        compile_with(corpus.write(), Runtime(write))


def test_a_fake_is_a_runtime_as_the_protocol_has_it(tmp_path: Path) -> None:
    assert isinstance(FakeRuntime(tmp_path / "calls"), CompileEngineCallable)
    assert not isinstance(object(), CompileEngineCallable)


def test_with_warnings_as_errors_and_as_the_main_program(corpus: Corpus) -> None:
    code = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
import harness; from c10 import EngineCompiler; from fake_runtime import planned
corpus = harness.Corpus(Path(sys.argv[2]))
print(len(EngineCompiler(planned(corpus.folder)[1]).compile_engines_for_corpus(harness.request_of(corpus))))
"""
    command = [sys.executable, "-W", "error", "-c", code, str(Path(__file__).parent), str(corpus.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr
