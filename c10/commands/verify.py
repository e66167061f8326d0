"""``doit engines-verify``: reads every engine, and says whether what the corpus needs here is there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from c10.building.planning import (
    PlannedEngine,
    blocked_lines,
    build_command,
    describe_host,
    plan_corpus,
    refuse_empty,
)
from c10.building.targets import signing_policy
from c10.cache.inventory import Finding, Inventory, cache_directories
from c10.cache.quarantine import Quarantine
from c10.cache.reading import EngineReader, cache_inventories, take_inventories
from c10.commands import documents
from c10.commands.base import (
    DEFAULT_CACHE,
    NOT_OK,
    OK,
    OPTION_JSON,
    EngineCommand,
    default_config,
    write,
    write_json,
)
from c10.console.text import count, megabytes, seconds, table
from c10.corpus.config import C10ProvisioningConfig
from c10.proof.verdict import Refusal
from c10.signing.policy import SigningPolicy

#: Nothing is damaged, but a run would not reuse what is there: the inputs are not those of the build.
NOT_REUSED: Final = 2

_READY: Final = {"reuse": "ready", "build": "not ready", "blocked": "blocked"}
_WHOLE_BUT_STALE: Final = ("inputs_changed", "source_unreadable")
_ADVICE: Final = {
    "damaged": "`doit engines`, on the host that they are for, rebuilds them; "
    "`doit engines-verify --quarantine DIR` sets them aside.",
    "unrecorded": "nothing proves what they were built from; `doit engines`, on the host that they are for, "
    "rebuilds them.",
    "untrusted": "not signed as `[signing]` asks: never reused, never loaded. Sign or build them with a trusted key.",
    "unreadable": "see the files' permissions, then `dmesg` for errors of the disk.",
    "lost": "restore the engine from a copy, or let `doit engines` build it again.",
    "building": "look again when the build is done.",
    "orphan": "left by a build that died: `doit engines-prune --delete` removes them.",
    "writing": "a build is writing them now.",
    "foreign": "not c10's, and left alone.",
}
_SET_ASIDE: Final = (
    "missing from now on. `doit engines`, on the host that they are for, builds them again; "
    "only `doit engines-verify --corpus FILE` says that they are missing."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The options of ``doit engines-verify``."""

    as_json: bool
    """Print one JSON document instead of lines."""
    corpus: str
    """The path of a backbones.toml whose engines are needed on this host; "" to ask for none."""
    quarantine: str
    """The directory to which damaged engines are moved; "" to move none."""


class EnginesVerify(EngineCommand[VerifyOptions]):
    """Reads every engine, builds nothing."""

    name = "engines-verify"
    doc_purpose = "read every engine and say whether it is intact"
    doc_usage = "[DIR...]"
    doc_description = (
        "Reads every byte of every engine in DIR, of all hosts, and builds nothing. DIR is the cache_root of "
        './backbones.toml if there is one, else "engines".\n\n'
        "Exit status:\n"
        "0: there are engines and all are intact; with --corpus: and a run would reuse all that it needs here\n"
        "1: an engine is damaged, lost, unreadable or without record, or is being built; or there is none; or one "
        "that the corpus needs is missing\n"
        "2: with --corpus: all are intact, but a run would not reuse one that is needed (its inputs changed)\n"
        "3: could not look (wrong option, no such directory, wrong configuration, a corpus without a backbone)"
    )
    options_type = VerifyOptions
    cmd_options = (
        OPTION_JSON,
        {
            "name": "corpus",
            "long": "corpus",
            "type": str,
            "default": "",
            "metavar": "FILE",
            "help": "also: is every engine that this backbones.toml needs on this host there, and would be reused?",
        },
        {
            "name": "quarantine",
            "long": "quarantine",
            "type": str,
            "default": "",
            "metavar": "DIR",
            "help": "move damaged engines there, with all their files (nothing is deleted)",
        },
    )

    def look(self, options: VerifyOptions, arguments: list[str]) -> int:
        """Read, report, set aside."""
        started = time.perf_counter()
        config = _corpus(options.corpus, arguments)
        reader = EngineReader(_signing(config, arguments))
        inventories = _inventories(config, arguments)
        findings = sorted(reader.examine(inventories), key=lambda found: found.state != "intact")
        plan = None if config is None else plan_corpus(config, engine_digest=reader.digest)
        moved = _set_aside(findings, options.quarantine)
        status = _status(findings, plan)
        if options.as_json:
            write_json(_document(inventories, findings, plan, moved, status))
            return status
        duration = time.perf_counter() - started
        write(_lines(inventories, findings, moved))
        if not findings:
            write([_nothing(inventories, plan)])
        write(_summary(inventories, findings, moved, reader.bytes_read, duration))
        if plan is not None:
            write(["", *_corpus_lines(options.corpus, plan)])
        return status


def _corpus(file: str, arguments: Sequence[str]) -> C10ProvisioningConfig | None:
    """Load the corpus; one DIR on the command line stands for its cache_root."""
    if not file:
        return None
    config = C10ProvisioningConfig.load(file)
    refuse_empty(config, file, "no engine would be needed here", "--corpus FILE")
    one = len({os.path.realpath(argument) for argument in arguments}) == 1
    return replace(config, cache_root=Path(arguments[0])) if one else config


def _signing(corpus: C10ProvisioningConfig | None, arguments: Sequence[str]) -> SigningPolicy | None:
    """Return a run's policy: of the corpus, or of the backbones.toml whose cache_root is read; a bare DIR has none."""
    config = corpus or (None if arguments else default_config())
    return signing_policy(config.signing) if config else None


def _inventories(corpus: C10ProvisioningConfig | None, arguments: Sequence[str]) -> list[Inventory]:
    if arguments:
        return take_inventories(map(Path, arguments))
    if corpus is not None:  # a cold cache is an answer, not an error
        return cache_inventories(corpus.cache_root)
    config = default_config()
    root = Path(DEFAULT_CACHE) if config is None else config.cache_root
    return take_inventories(cache_directories(root) or [root])


def _set_aside(findings: Sequence[Finding], directory: str) -> dict[Path, Path]:
    if not directory:
        return {}
    quarantine = Quarantine(Path(directory))
    damaged = [found.stored for found in findings if found.state == "damaged"]
    moved = {stored.engine_path: quarantine.take(stored) for stored in damaged}
    return {path: folder for path, folder in moved.items() if folder is not None}


def _status(findings: Sequence[Finding], plan: Sequence[PlannedEngine] | None) -> int:
    refused = [engine.verdict.reason for engine in plan or () if isinstance(engine.verdict, Refusal)]
    if any(found.state != "intact" for found in findings) or not (findings or plan):
        return NOT_OK
    if not refused:
        return OK
    return NOT_REUSED if all(reason in _WHOLE_BUT_STALE for reason in refused) else NOT_OK


def _lines(inventories: Sequence[Inventory], findings: Sequence[Finding], moved: dict[Path, Path]) -> Iterator[str]:
    many = len(inventories) > 1
    rows: list[tuple[str, str, str]] = []
    for found in findings:
        path = found.stored.engine_path
        why = f": {found.why}" if found.why else ""
        folder = moved.get(path)
        aside = f"; moved to {folder}" if folder else ""
        rows.append((found.state, megabytes(found.stored.size), f"{path if many else path.name}{why}{aside}"))
    rows += [
        (left.kind, megabytes(left.size), str(left.path if many else left.path.name))
        for inventory in inventories
        for left in inventory.leftovers
    ]
    return iter(table(rows, right=(1,)) if rows else [])


def _where(inventories: Sequence[Inventory]) -> str:
    return ", ".join(str(inventory.directory) for inventory in inventories) or "cache_root"


def _nothing(inventories: Sequence[Inventory], plan: Sequence[PlannedEngine] | None) -> str:
    todo = " `doit engines` builds them." if plan is None else ""  # what a corpus needs is said below
    return f"{_where(inventories)}: no engine there.{todo}"


def _summary(
    inventories: Sequence[Inventory],
    findings: Sequence[Finding],
    moved: dict[Path, Path],
    bytes_read: int,
    duration_s: float,
) -> Iterator[str]:
    kinds = documents.counts(
        [found.state for found in findings] + [left.kind for i in inventories for left in i.leftovers]
    )
    if kinds:
        parts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
        yield f"{_where(inventories)}: {parts}; {megabytes(bytes_read)} read in {seconds(duration_s)}"
    done = {"damaged"} if len(moved) == kinds.get("damaged") else set()
    yield from (f"  {kind}: {advice}" for kind, advice in _ADVICE.items() if kind in kinds.keys() - done)
    if moved:
        folders = ", ".join(sorted({str(folder) for folder in moved.values()}))
        yield f"  {len(moved)} set aside in {folders}: {_SET_ASIDE}"


def _corpus_lines(config: str, plan: Sequence[PlannedEngine]) -> Iterator[str]:
    yield f"Needed by {config} here ({describe_host(e.target for e in plan)}):"
    rows = [(_READY[e.action], e.target.model_name, "" if e.action == "reuse" else e.why) for e in plan]
    yield from table(rows)
    yield _readiness(plan)
    yield from blocked_lines(plan)


def _readiness(plan: Sequence[PlannedEngine]) -> str:
    actions = [engine.action for engine in plan]
    ready, builds = actions.count("reuse"), actions.count("build")
    if ready == len(plan):
        return f"All {ready} ready: `doit engines` would compile nothing."
    which = "the others" if ready + builds == len(plan) else builds
    todo = f" `{build_command(plan)}` builds {which}." if builds else ""
    return f"{ready} of {count(len(plan), 'engine')} ready.{todo}"


def _document(
    inventories: Sequence[Inventory],
    findings: Sequence[Finding],
    plan: Sequence[PlannedEngine] | None,
    moved: dict[Path, Path],
    status: int,
) -> dict[str, Any]:
    engines = []
    for found in findings:
        folder = moved.get(found.stored.engine_path)
        engines.append({**documents.finding(found), "moved_to": None if folder is None else str(folder)})
    return documents.document(
        "engines-verify",
        exit_status=status,
        directories=[str(inventory.directory) for inventory in inventories],
        counts=documents.counts(found.state for found in findings),
        engines=engines,
        leftovers=documents.leftovers(inventories),
        corpus=None if plan is None else [documents.planned(engine) for engine in plan],
    )
