"""The build of one engine: nothing of the older engine changes before everything that can fail has succeeded."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import HOST, onnx_bytes
from scripted_runtime import Runtime, write
from signing_keys import make_key

from c10 import BackboneSpec, BuildConfig, BuildProgress, CompileOutcome, EngineBuildError, EngineCacheEntry
from c10.building.build import build_engine
from c10.building.run import RunState
from c10.corpus.runtimes import RuntimeKind
from c10.corpus.target import EngineTarget, engine_target
from c10.errors import C10Error, PublishError, SigningError, SourceError
from c10.files import publish
from c10.files.naming import EnginePaths
from c10.files.sidecar import Sha256Sidecar
from c10.host import HostCapabilities
from c10.proof.verdict import Proof, check_bytes, judge
from c10.signing.policy import SigningPolicy

NAME = "model__sm87_jp6.2_trt10.3_fp16.engine"


def target_in(folder: Path, signing: SigningPolicy | None = None, kind: RuntimeKind = "trt") -> EngineTarget:
    folder.mkdir(exist_ok=True)
    onnx_path = folder / "model.onnx"
    onnx_path.write_bytes(onnx_bytes("model"))
    spec = BackboneSpec(model_name="model", onnx_path=onnx_path, expected_input_shape=(1, 3, 8, 8))
    host = replace(HostCapabilities(**HOST), rtx_version="1.7")
    return engine_target(spec, host=host, runtime=kind, cache_root=folder / "engines", signing=signing)


def build(target: EngineTarget, runtime: Any, run: RunState | None = None) -> CompileOutcome:
    run = run or RunState()
    return build_engine(target, judge(target, run.sources), run, runtime).outcome


def content(target: EngineTarget) -> dict[str, bytes]:
    """Return what lies in cache_root, locks apart."""
    return {path.name: path.read_bytes() for path in target.engine_path.parent.iterdir() if path.name != ".locks"}


@pytest.fixture
def older(tmp_path: Path) -> EngineTarget:
    """An engine that is right, whose model has changed since."""
    key = make_key(tmp_path, "builder")
    signing = SigningPolicy(trusted_keys=(key.public,), private_key=tmp_path / "builder.pem")
    target = target_in(tmp_path, signing)
    assert build(target, Runtime(write)) is CompileOutcome.BUILT
    target.onnx_path.write_bytes(onnx_bytes("another model"))
    return target


# Where a runtime compiles


def test_a_runtime_compiles_in_a_private_folder_of_cache_root_under_the_engines_name(tmp_path: Path) -> None:
    target = target_in(tmp_path)
    seen: list[Path] = []

    def look(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        seen.append(output_path)
        folder = output_path.parent
        assert (output_path.name, folder.parent) == (target.engine_path.name, target.engine_path.parent)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(folder.iterdir()) == []
        assert publish.orphans(folder.parent, output_path.name) == [folder]  # the next build removes it after a crash
        output_path.with_name("notes.txt").write_text("of no use")
        return write(onnx_path, output_path)

    build(target, Runtime(look))
    assert not seen[0].parent.exists()
    assert content(target).keys() == {target.engine_path.name + suffix for suffix in ("", ".sha256", ".json")}


def test_the_modes_of_the_files_follow_the_umask_and_not_the_folder(tmp_path: Path) -> None:
    target, before = target_in(tmp_path), os.umask(0o022)
    try:
        build(target, Runtime(write))
    finally:
        os.umask(before)
    files = (target.paths.engine, target.paths.sidecar, target.paths.record)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o644}


def test_a_runtime_that_writes_by_hand_has_its_files_synced_before_they_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_in(tmp_path)
    calls: list[tuple[str, int]] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(descriptor: int) -> None:
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def noting_rename(source: Path, path: Path) -> None:
        calls.append(("rename", source.stat().st_ino))
        rename(source, path)

    def by_hand(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        entry = write(onnx_path, output_path)
        output_path.write_bytes(output_path.read_bytes())
        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "rename", noting_rename)
        return entry

    build(target, Runtime(by_hand))
    monkeypatch.undo()
    inode = target.engine_path.stat().st_ino
    assert calls.index(("fsync", inode)) < calls.index(("rename", inode))


# Failures


def raising(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    write(onnx_path, output_path)
    raise EngineBuildError(f"{output_path}: build: expected an end, got a failure after the engine was written")


def crashing(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    write(onnx_path, output_path)
    raise ZeroDivisionError


def lying(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    return replace(write(onnx_path, output_path), sha256="0" * 64)


def nothing(onnx_path: Path, output_path: Path) -> EngineCacheEntry:  # noqa: ARG001
    return EngineCacheEntry(engine_path=output_path, sha256="0" * 64)


def changing(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    onnx_path.write_bytes(onnx_bytes("written to meanwhile"))
    return write(onnx_path, output_path)


def removing(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
    onnx_path.unlink()
    return write(onnx_path, output_path)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (raising, EngineBuildError),
        (crashing, ZeroDivisionError),
        (lying, EngineBuildError),
        (nothing, EngineBuildError),
        (changing, SourceError),
        (removing, SourceError),
    ],
)
def test_a_build_that_fails_leaves_every_file_of_the_older_engine(
    older: EngineTarget, how: Callable[[Path, Path], EngineCacheEntry], kind: type[Exception]
) -> None:
    before = content(older)
    with pytest.raises(kind) as caught:
        build(older, Runtime(how))
    assert content(older) == before
    assert isinstance(check_bytes(older.engine_path, signing=older.signing), Proof)
    if isinstance(caught.value, C10Error):
        assert "The older engine is left as it was, and it is not reused (ONNX changed" in caught.value.remedy
        assert ".tmp" not in str(caught.value)  # the folder is gone, and was never the user's


@pytest.mark.parametrize("suffix", ["json", "dsse.json"])
def test_a_record_or_envelope_that_cannot_be_written_leaves_every_file_of_the_older_engine(
    older: EngineTarget, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    before, write_file = content(older), publish._write

    def full(temporary: Path, view: memoryview) -> str:
        if temporary.name.startswith(f".{older.engine_path.name}.{suffix}."):
            raise OSError(28, "No space left on device")
        return write_file(temporary, view)

    monkeypatch.setattr(publish, "_write", full)
    with pytest.raises(PublishError, match="No space left on device"):
        build(older, Runtime(write))
    assert content(older) == before


def test_a_signature_that_cannot_be_made_leaves_every_file_of_the_older_engine(
    older: EngineTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(record: bytes, key: object) -> bytes:  # noqa: ARG001
        raise SigningError("the key broke")

    before = content(older)
    monkeypatch.setattr("c10.building.build.sign_record", broken)
    with pytest.raises(SigningError):
        build(older, Runtime(write))
    assert content(older) == before


def test_the_older_engines_signature_goes_with_it(older: EngineTarget) -> None:
    unsigned = replace(older, signing=SigningPolicy())
    assert build(unsigned, Runtime(write)) is CompileOutcome.BUILT
    assert not older.paths.envelope.exists()
    assert isinstance(judge(unsigned, RunState().sources), Proof)


# What a runtime may have beyond compile_engine


class Prepared:
    """A runtime that asks for which engine it compiles."""

    def __init__(self) -> None:
        self.prepared: list[tuple[Path, bool]] = []

    def for_engine(self, engine_path: Path, lock: int) -> Runtime:
        locked = os.fstat(lock).st_ino == (engine_path.parent / ".locks" / f"{engine_path.name}.lock").stat().st_ino
        self.prepared.append((engine_path, locked))
        return Runtime(write)

    def compile_engine(self, *_: Any, **__: Any) -> EngineCacheEntry:
        raise AssertionError("the prepared runtime compiles")


def test_a_runtime_is_told_for_which_engine_it_compiles_and_given_its_lock(tmp_path: Path) -> None:
    target, runtime = target_in(tmp_path), Prepared()
    assert build(target, runtime) is CompileOutcome.BUILT
    assert runtime.prepared == [(target.engine_path, True)]


# Runs


class Telling:
    """A runtime that says how far it is, and waits until the other one is as far."""

    def __init__(self, barrier: threading.Barrier, data: bytes) -> None:
        self._barrier, self._data = barrier, data

    def compile_engine(
        self, onnx_path: Path, build_config: BuildConfig, output_path: Path, *, progress: Any
    ) -> EngineCacheEntry:
        del onnx_path, build_config
        progress(BuildProgress(self._data.decode()))
        self._barrier.wait(60)
        sha256 = Sha256Sidecar.write_atomic_and_sidecar(output_path, self._data)
        self._barrier.wait(60)
        return EngineCacheEntry(engine_path=output_path, sha256=sha256)


def test_two_runs_at_the_same_time_in_two_threads_share_nothing(tmp_path: Path) -> None:
    barrier = threading.Barrier(2)
    targets = {name: target_in(tmp_path / name, kind="rtx") for name in ("first", "second")}  # which needs no GPU
    runs = {name: RunState() for name in targets}
    outcomes: dict[str, CompileOutcome] = {}

    def work(name: str) -> None:
        outcomes[name] = build(targets[name], Telling(barrier, name.encode()), runs[name])

    for run in runs.values():
        run.progress.open()
    threads = [threading.Thread(target=work, args=(name,)) for name in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == dict.fromkeys(targets, CompileOutcome.BUILT)
    for name, run in runs.items():
        told = [message.progress and message.progress.phase for message in run.progress.receive(1)]
        assert told == [name, None]  # and that it is over
        run.progress.close()
        assert targets[name].engine_path.read_bytes() == name.encode()
        assert isinstance(judge(targets[name], run.sources), Proof)


def test_each_run_syncs_a_folder_once_whatever_other_runs_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(tmp_path, (1, 1))
    synced: list[Path] = []
    monkeypatch.setattr(publish, "sync_directory", synced.append)
    first, second = RunState(), RunState()
    for run in (first, first, second):
        run.settled.settle(tmp_path)
    assert synced == [tmp_path, tmp_path]


def test_the_four_paths_of_an_engine() -> None:
    paths = EnginePaths.of(Path("/engines") / NAME)
    assert [path.name.removeprefix(NAME) for path in (paths.engine, paths.sidecar, paths.record, paths.envelope)] == [
        "",
        ".sha256",
        ".json",
        ".dsse.json",
    ]
