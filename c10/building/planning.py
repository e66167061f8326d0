"""What a run would do, and why, without doing it: on this machine, or on a host of which only some facts are known.

The verdict is the one of a run; for another host, facts that its description leaves open are set aside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from c10.building.targets import corpus_targets
from c10.cache.estimate import estimate_s
from c10.cache.inventory import StoredEngine
from c10.cache.reading import cache_inventories, is_missing
from c10.console.text import count
from c10.corpus.config import C10ProvisioningConfig
from c10.corpus.runtimes import RUNTIME_OF
from c10.corpus.target import EngineTarget
from c10.errors import ConfigError, RecordError, SourceError
from c10.files.digest import FileDigest, digest_file, open_regular
from c10.files.naming import EngineFilenameSchema, EngineName, EnginePaths
from c10.host import HostCapabilities
from c10.proof.definition import build_definition, differences, source_files, was_converted
from c10.proof.facts import Difference, describe, fact_of
from c10.proof.nearest import NAMED, name_differences, similarity
from c10.proof.record import read_record
from c10.proof.sources import SourceDigests
from c10.proof.verdict import Proof, Verdict, judge

#: Packages and settings of the machine that builds: of another one nothing is known of them.
_OF_THIS_MACHINE: Final = ("runtime.onnx", "environment.")

Action = Literal["reuse", "build", "blocked"]


@dataclass(frozen=True, slots=True)
class PlannedEngine:
    """One engine that a corpus wants: would it be reused, and if not, why.

    ``unstated`` are facts of the record that the description of another host leaves open; ``nearest`` is the
    nearest engine of the same model and runtime under another name, ``changes`` what leads from it to the wanted
    one; ``last_duration_s`` is what the last recorded build took; ``blocked`` says which file a build would lack.
    """

    target: EngineTarget
    verdict: Verdict
    unstated: tuple[Difference, ...] = ()
    nearest: EngineName | None = None
    changes: tuple[Difference, ...] = ()
    last_duration_s: float | None = None
    blocked: str = ""

    @property
    def action(self) -> Action:
        """What a run would do; blocked: neither reuse nor build it."""
        if isinstance(self.verdict, Proof):
            return "reuse"
        return "blocked" if self.blocked else "build"

    @property
    def why(self) -> str:
        """The reason, in words."""
        if isinstance(self.verdict, Proof):
            return self._why_reused(self.verdict)
        why = self._why_missing() if self.verdict.reason == "missing" else str(self.verdict)
        if self.blocked and self.verdict.reason != "source_unreadable":  # which names the file itself
            return f"{why}; {self.blocked}"
        return why

    def _why_reused(self, proof: Proof) -> str:
        if not self.unstated:
            return str(proof)
        facts = ", ".join(f"{fact_of(d.key).words} {d.old}" for d in self.unstated)
        return f"intact, and reused there if these are the same: {facts}"

    def _why_missing(self) -> str:
        if not is_missing(self.target.paths.record):
            return "the engine is gone, only files beside it are left"
        named = [_without_hint(change) for change in self.changes if change.key in NAMED.values()]
        others = [_without_hint(change) for change in self.changes if change.key not in NAMED.values()]
        if not named:
            return "no engine yet"
        return "; ".join([f"{'; '.join(named)}: new name, nothing there yet", *others])


def refuse_empty(config: C10ProvisioningConfig, file: str, why: str, remedy: str) -> None:
    """Raise ConfigError where a corpus names no backbone: an answer about nothing reads like a good one."""
    if not config.backbones:
        raise ConfigError(
            f"{file}: expected at least one backbone, got none: {why}",
            remedy=f"Name one in a [[backbones]] table, or another corpus with {remedy}.",
        )


def plan_corpus(
    config: C10ProvisioningConfig,
    host: HostCapabilities | None = None,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
) -> list[PlannedEngine]:
    """Say of each engine of a corpus what a run would do: on this machine, or on ``host``.

    Reads every engine that it judges; builds and writes nothing. Raises ConfigError and HostProbeError.
    """
    sources = SourceDigests()
    stored = [engine for inventory in cache_inventories(config.cache_root) for engine in inventory.engines]
    plan = []
    for target in corpus_targets(config, host=host):
        verdict = judge(target, sources, engine_digest)
        verdict, unstated = (verdict, ()) if host is None else _with_known_facts(verdict, host)
        near = _nearest(target, stored)
        plan.append(
            PlannedEngine(
                target=target,
                verdict=verdict,
                unstated=unstated,
                nearest=near.name if near else None,
                changes=_changes(near, target, sources) if near else (),
                last_duration_s=estimate_s(target) if near or not is_missing(target.paths.record) else None,
                blocked="" if isinstance(verdict, Proof) else _unreadable_source(target),
            )
        )
    return plan


def build_command(plan: Iterable[PlannedEngine]) -> str:
    """Return what builds all that can be built: doit stops at the first failure where nobody tells it not to."""
    return "doit --continue engines" if any(engine.action == "blocked" for engine in plan) else "doit engines"


def blocked_lines(plan: Sequence[PlannedEngine]) -> Iterator[str]:
    """Say what to do about engines that cannot be built."""
    if blocked := sum(engine.action == "blocked" for engine in plan):
        yield (
            f"{blocked} of {count(len(plan), 'engine')} blocked: the line names the file that a build needs. "
            "Put it there, readable, and look again."
        )


def _unreadable_source(target: EngineTarget) -> str:
    """Say which file of a build cannot be read; nothing where all can."""
    try:
        for path in source_files(target).values():
            try:
                os.close(open_regular(path))
            except OSError as error:
                return f"{path}: expected a readable file, got {error.strerror or error}"
    except SourceError as error:
        return error.message
    return ""


def _with_known_facts(verdict: Verdict, host: HostCapabilities) -> tuple[Verdict, tuple[Difference, ...]]:
    """Leave out the differences that are none: facts that nobody stated of the host."""
    if isinstance(verdict, Proof):
        return verdict, ()
    unstated = tuple(difference for difference in verdict.differences if _is_unstated(difference, host))
    stated = tuple(difference for difference in verdict.differences if difference not in unstated)
    if verdict.reason == "inputs_changed" and unstated and not stated and verdict.record and verdict.sha256:
        return Proof(record=verdict.record, sha256=verdict.sha256, stamp=verdict.stamp), unstated
    return replace(verdict, differences=stated), unstated


def _is_unstated(difference: Difference, host: HostCapabilities) -> bool:
    if difference.key.startswith(_OF_THIS_MACHINE):
        return True
    if difference.key in {"runtime.version", "runtime.onnx_parser"}:  # 10.3 leaves 10.3.0.26 open
        return difference.new is None or f"{difference.old}.".startswith(f"{difference.new}.")
    group, _, fact = difference.key.partition(".")
    return group == "host" and getattr(host, fact, "") is None


def _nearest(target: EngineTarget, stored: Iterable[StoredEngine]) -> StoredEngine | None:
    """Return the nearest engine of model and runtime; the other runtime's build times would say nothing."""
    wanted = EngineFilenameSchema.parse(target.engine_path)
    of_product = [e for e in stored if (e.name.model_name, e.name.runtime) == (wanted.model_name, wanted.runtime)]
    others = [e for e in of_product if e.name != wanted]
    return max(others, key=lambda e: (similarity(e.name, wanted), e.modified_s), default=None)


def _changes(near: StoredEngine, target: EngineTarget, sources: SourceDigests) -> tuple[Difference, ...]:
    """Return what sets the wanted engine apart: what the two names say, then what the record adds to it."""
    named = name_differences(near.name, EngineFilenameSchema.parse(target.engine_path))
    try:
        record = read_record(EnginePaths.of(near.engine_path).record)
        digests = {role: sources.sha256(path) for role, path in source_files(target).items()}
    except (OSError, RecordError, SourceError):
        return named
    definition = build_definition(target, digests, converted=was_converted(record.definition))
    told = {*NAMED.values(), "runtime.onnx_parser"}
    recorded = [d for d in differences(record.definition, definition) if d.key not in told]
    return (*named, *(d for d in recorded if not _is_unstated(d, target.host)))


def _without_hint(difference: Difference) -> str:
    """Put a difference into words that ask nothing: the other host is meant to be another one."""
    return describe(difference).removesuffix(f" ({fact_of(difference.key).hint})")


def describe_host(targets: Iterable[EngineTarget]) -> str:
    """Return the host that a plan is for, in words."""
    target = next(iter(targets), None)
    if target is None:
        return "any host"
    host, row = target.host, RUNTIME_OF[target.runtime]
    if not row.on_device:
        machine = f"{host.os} {host.machine}, " if host.os and host.machine else ""
        return f"{machine}{row.product} {target.runtime_version}"
    jetpack = "" if host.jp == "none" else f", JetPack {host.jp}"
    if host.jp.startswith("l4t"):
        jetpack = f", L4T {host.jp.removeprefix('l4t')}"
    device = f"{host.device_name} " if host.device_name else ""
    return f"{device}sm{host.sm}{jetpack}, {row.product} {target.runtime_version}"
