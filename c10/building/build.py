"""Builds one engine: lock, look again, compile aside, check, publish.

doit runs this for an engine that may not be reused. The runtime writes engine and sidecar into a private folder, and
whatever can be refused is refused while they lie there, so a build that fails leaves the older engine untouched. Then
engine, sidecar, record and, if engines are signed, the envelope are published, in this order; the record commits the
build.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from c10.building.device import device_held
from c10.building.published import published_engine
from c10.building.result import EngineResult
from c10.building.run import RunState
from c10.building.sign import open_signing_key, sign_record
from c10.console import events
from c10.corpus.runtimes import RUNTIME_OF
from c10.corpus.target import EngineTarget
from c10.errors import C10Error, SourceError
from c10.files.locks import held, lock_path
from c10.files.naming import EnginePaths
from c10.files.pieces import listening
from c10.files.publish import remove_orphans
from c10.files.staging import commit, staging
from c10.proof.definition import build_definition, build_key, source_files
from c10.proof.record import BuildRecord
from c10.proof.snapshot import SourceSnapshot
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, Refusal, Verdict, check_bytes, judge, record_stamp
from c10.runtimes.adapter import compiled, prepared
from c10.runtimes.calibration import refuse_missing_cache
from c10.runtimes.protocol import BuildProgress, CompileEngineCallable
from c10.runtimes.select import builtin_runtime
from c10.signing.keys import PrivateKey


def build_engine(
    target: EngineTarget, verdict: Verdict, run: RunState, runtime: CompileEngineCallable | None
) -> EngineResult:
    """Build the engine that ``verdict`` refuses to reuse, or, if it is a proof, whose rebuild was requested.

    ``runtime`` is an injected one; None means c10's own. Raises C10Error, and what an injected runtime raises; the
    older engine is then untouched unless a rename failed while the new one was published.
    """
    refusal = verdict.refused("forced") if isinstance(verdict, Proof) else verdict
    try:
        return _build(target, refusal, run, runtime)
    finally:
        run.progress.finished(target.model_name)


def _build(
    target: EngineTarget, refusal: Refusal, run: RunState, runtime: CompileEngineCallable | None
) -> EngineResult:
    signing_key = open_signing_key(target.signing)  # before minutes are spent on what could not be signed
    with held(lock_path(target.engine_path), _say_waiting(target, run)) as lock:
        if refusal.reason != "forced" and record_stamp(target.engine_path) != refusal.stamp:
            # Another process was here meanwhile.
            verdict = judge(target, run.sources)
            if isinstance(verdict, Proof):
                run.settled.settle(target.engine_path.parent)
                return EngineResult.reused(verdict, verdict.record)
            refusal = verdict
        events.cache_miss(target, refusal)
        remove_orphans(target.engine_path.parent, target.engine_path.name)
        try:
            record = _make(target, run, runtime, lock, signing_key)
        except C10Error as error:
            _tell_what_is_left(target, refusal, error)
            raise
        finally:
            remove_orphans(target.engine_path.parent, target.engine_path.name)
    return EngineResult.built(refusal, record)


def _make(
    target: EngineTarget, run: RunState, runtime: CompileEngineCallable | None, lock: int, key: PrivateKey | None
) -> BuildRecord:
    """Compile aside, then publish; until ``commit`` every error leaves the older engine untouched."""
    with staging(target.engine_path) as made:
        with _device(target, run):
            compiler = prepared(runtime or builtin_runtime(target.runtime, target.host), target.engine_path, lock)
            record = _compile(target, run, compiler, made)
        content = record.to_json()
        commit(made, target.paths, content, None if key is None else sign_record(content, key))
    return record


def _compile(target: EngineTarget, run: RunState, runtime: CompileEngineCallable, made: EnginePaths) -> BuildRecord:
    """Compile to ``made``, check what the runtime wrote, and return the record of it."""
    if target.build_config.options.calibration_cache is not None:
        refuse_missing_cache(target.build_config.options.calibration_cache)
    files, snapshot = _sources_of(target, run.sources)
    progress = run.progress.callback(target.model_name)
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    with snapshot.hashing(), listening(made.engine) as published:
        said = compiled(runtime, target.onnx_path, target.build_config, made.engine, progress)
        duration, finished = time.perf_counter() - clock, datetime.now(timezone.utc)
    engine = published_engine(target, made, said, published)
    _refuse_changed(target, snapshot)
    definition = build_definition(target, snapshot.by_role(files), converted=said.network.converted)
    return BuildRecord(
        engine_name=target.engine_path.name,
        sha256=engine.sha256,
        size=engine.size,
        definition=definition,
        build_key=build_key(definition),
        compile_duration_s=round(duration, 3) or 0.001,
        started_on=started.isoformat(timespec="milliseconds"),
        finished_on=finished.isoformat(timespec="milliseconds"),
        power_mode=target.host.power_mode,
        network=said.network,
        pieces=engine.pieces,
    )


def _sources_of(target: EngineTarget, sources: SourceDigests) -> tuple[dict[str, Path], SourceSnapshot]:
    """Return the files that go into the engine, by role, and a snapshot of them. Raises SourceError."""
    snapshot = SourceSnapshot(sources)
    snapshot.add(target.onnx_path)  # before it is asked which files it names
    files = source_files(target)
    for path in files.values():
        snapshot.add(path)
    return files, snapshot


def _refuse_changed(target: EngineTarget, snapshot: SourceSnapshot) -> None:
    if changed := snapshot.changed():
        raise SourceError(
            f"{target.model_name}: compile: expected sources that stay as they are, "
            f"got a change of {', '.join(map(str, changed))}",
            remedy="Run `doit engines` again once nothing writes to them.",
        )


def _tell_what_is_left(target: EngineTarget, refusal: Refusal, error: C10Error) -> None:
    """Add to a failure what became of the good engine that a rebuild was to replace."""
    if refusal.record is None or check_bytes(target.engine_path).record != refusal.record:
        return
    use = "it can still be reused" if refusal.reason == "forced" else f"it is not reused ({refusal})"
    left = f"The older engine is left as it was, and {use}: {target.engine_path}"
    error.remedy = "\n".join(filter(None, [error.remedy, left]))


@contextmanager
def _device(target: EngineTarget, run: RunState) -> Iterator[None]:
    """Hold the GPU for the block if the builder measures on it."""
    if not RUNTIME_OF[target.runtime].on_device:
        yield
        return
    with device_held(_say_waiting(target, run)):
        yield


def _say_waiting(target: EngineTarget, run: RunState) -> Callable[[], None]:
    send = run.progress.callback(target.model_name)
    return lambda: send(BuildProgress("Waiting for another process"))
