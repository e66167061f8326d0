"""Builds one engine: lock, look again, compile, record.

What doit runs for an engine that may not be reused. The runtime writes engine and sidecar; the record that is
written last commits the build; where engines are signed, its envelope follows it.
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
from c10.building.sign import open_signing_key, publish_signature
from c10.console import events
from c10.console.progress import CHANNEL
from c10.conversion.report import NetworkReport
from c10.corpus.runtimes import RUNTIME_OF
from c10.corpus.target import EngineTarget
from c10.errors import C10Error, SourceError
from c10.files.locks import held, lock_path
from c10.files.pieces import listening
from c10.files.publish import publish, remove_orphans, sync_renames, unpublish
from c10.proof.definition import build_definition, build_key, source_files
from c10.proof.record import BuildRecord
from c10.proof.snapshot import SourceSnapshot
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, Refusal, Verdict, check_bytes, judge, record_stamp
from c10.runtimes.calibration import refuse_missing_cache
from c10.runtimes.isolated import IsolatedRuntime
from c10.runtimes.protocol import BuildProgress, CompileEngineCallable
from c10.runtimes.select import builtin_runtime
from c10.signing.keys import PrivateKey


def build_engine(
    target: EngineTarget, verdict: Verdict, sources: SourceDigests, runtime: CompileEngineCallable | None
) -> EngineResult:
    """Build the engine that ``verdict`` refuses to reuse (or that was asked for all the same).

    ``runtime`` is an injected one; None means c10's own. Raises C10Error; nothing half-made is left.
    """
    refusal = verdict.refused("forced") if isinstance(verdict, Proof) else verdict
    try:
        return _build(target, refusal, sources, runtime)
    finally:
        CHANNEL.finished(target.model_name)


def _build(
    target: EngineTarget, refusal: Refusal, sources: SourceDigests, runtime: CompileEngineCallable | None
) -> EngineResult:
    signing_key = open_signing_key(target.signing)  # before minutes are spent on what could not be signed
    with held(lock_path(target.engine_path), _say_waiting(target)) as lock:
        if refusal.reason != "forced" and record_stamp(target.engine_path) != refusal.stamp:
            # Another process was here meanwhile.
            verdict = judge(target, sources)
            if isinstance(verdict, Proof):
                sync_renames(target.engine_path.parent)
                return EngineResult.reused(verdict, verdict.record)
            refusal = verdict
        events.cache_miss(target, refusal)
        remove_orphans(target.engine_path.parent, target.engine_path.name)
        try:
            with _device(target):
                compiler = runtime or builtin_runtime(target.runtime, target.host)
                if isinstance(compiler, IsolatedRuntime):
                    compiler = compiler.inheriting(lock)
                record = _compile(target, sources, compiler, signing_key)
        except C10Error as error:
            _tell_what_is_left(target, refusal, error)
            raise
        finally:
            remove_orphans(target.engine_path.parent, target.engine_path.name)
    return EngineResult.built(refusal, record)


def _compile(
    target: EngineTarget, sources: SourceDigests, runtime: CompileEngineCallable, signing_key: PrivateKey | None
) -> BuildRecord:
    if target.build_config.options.calibration_cache is not None:
        refuse_missing_cache(target.build_config.options.calibration_cache)
    files, snapshot = _sources_of(target, sources)
    progress = CHANNEL.callback(target.model_name)
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    with snapshot.hashing(), listening(target.engine_path) as published:
        entry = runtime.compile_engine(target.onnx_path, target.build_config, target.engine_path, progress=progress)
        duration, finished = time.perf_counter() - clock, datetime.now(timezone.utc)
    network = getattr(entry, "network", None) or NetworkReport(types_from="injected runtime")
    engine = published_engine(target, entry, published)
    _refuse_changed(target, snapshot)
    definition = build_definition(target, snapshot.by_role(files), converted=network.converted)
    record = BuildRecord(
        engine_name=target.engine_path.name,
        sha256=engine.sha256,
        size=engine.size,
        definition=definition,
        build_key=build_key(definition),
        compile_duration_s=round(duration, 3) or 0.001,
        started_on=started.isoformat(timespec="milliseconds"),
        finished_on=finished.isoformat(timespec="milliseconds"),
        power_mode=target.host.power_mode,
        network=network,
        pieces=engine.pieces,
    )
    _commit(target, record, signing_key)
    return record


def _sources_of(target: EngineTarget, sources: SourceDigests) -> tuple[dict[str, Path], SourceSnapshot]:
    """Return the files that go into the engine, by role, and a snapshot of them. Raises SourceError."""
    snapshot = SourceSnapshot(sources)
    snapshot.add(target.onnx_path)  # before it is asked which files it names
    files = source_files(target)
    for path in files.values():
        snapshot.add(path)
    return files, snapshot


def _commit(target: EngineTarget, record: BuildRecord, signing_key: PrivateKey | None) -> None:
    content = record.to_json()
    publish(target.record_path, content)
    if signing_key is None:
        unpublish(target.signature_path)  # the older engine's
    else:
        publish_signature(target.engine_path, content, signing_key)


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
def _device(target: EngineTarget) -> Iterator[None]:
    """Hold the GPU for the block where the builder measures on it."""
    if not RUNTIME_OF[target.runtime].on_device:
        yield
        return
    with device_held(_say_waiting(target)):
        yield


def _say_waiting(target: EngineTarget) -> Callable[[], None]:
    send = CHANNEL.callback(target.model_name)
    return lambda: send(BuildProgress("Waiting for another process"))
