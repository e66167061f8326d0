"""What the commands say as JSON; docs/commands.md describes every key.

``schema_version`` changes when a key is renamed, removed or changes its meaning, not when one is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from c10.building.planning import PlannedEngine
from c10.cache.inventory import Finding, Inventory, Leftover, StoredEngine
from c10.host import HostCapabilities
from c10.proof.facts import Difference, fact_of
from c10.proof.record import BuildRecord
from c10.proof.verdict import Refusal
from c10.version import __version__

SCHEMA_VERSION: Final = 1


def document(command: str, **content: Any) -> dict[str, Any]:
    """Return a document with the keys that all of them begin with."""
    return {"schema_version": SCHEMA_VERSION, "command": command, "c10_version": __version__, **content}


def stored_engine(stored: StoredEngine) -> dict[str, Any]:
    """Describe an engine's files by their names and sizes."""
    return {
        "directory": str(stored.engine_path.parent),
        "engine": stored.engine_path.name,
        "files": [path.name for path in stored.files],
        "size": stored.size,
        **asdict(stored.name),
    }


def finding(found: Finding) -> dict[str, Any]:
    """Describe an engine that was read."""
    return {
        **stored_engine(found.stored),
        "state": found.state,
        "reason": found.verdict.reason if isinstance(found.verdict, Refusal) else None,
        "why": found.why,
        "sha256": found.verdict.sha256,
        **recorded(found.verdict.record),
    }


def recorded(record: BuildRecord | None) -> dict[str, Any]:
    """Describe what a build record says of the build; nulls where there is no record to believe."""
    if record is None:
        return dict.fromkeys(("built_on", "compile_duration_s", "build_key", "runtime_version", "device_name"))
    return {
        "built_on": record.finished_on,
        "compile_duration_s": record.compile_duration_s,
        "build_key": record.build_key,
        "runtime_version": _at(record.definition, "internalParameters", "runtime", "version"),
        "device_name": _at(record.definition, "internalParameters", "host", "device_name"),
    }


def _at(value: Any, *keys: str) -> str | None:
    """Return a text deep in a record: what nobody signed may have any form."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def leftover(left: Leftover) -> dict[str, Any]:
    """Describe a file that is no engine's."""
    return {"directory": str(left.path.parent), "file": left.path.name, "kind": left.kind, "size": left.size}


def leftovers(inventories: Iterable[Inventory]) -> list[dict[str, Any]]:
    """Describe all that is no engine's."""
    return [leftover(left) for inventory in inventories for left in inventory.leftovers]


def planned(plan: PlannedEngine) -> dict[str, Any]:
    """Describe what a run would do about one engine."""
    refusal = plan.verdict if isinstance(plan.verdict, Refusal) else None
    return {
        "model_name": plan.target.model_name,
        "directory": str(plan.target.engine_path.parent),
        "engine": plan.target.engine_path.name,
        "action": plan.action,
        "reason": None if refusal is None else refusal.reason,
        "why": plan.why,
        "differences": [difference(d) for d in (refusal.differences if refusal else ())],
        "unstated": [difference(d) for d in plan.unstated],
        "nearest": None if plan.nearest is None else str(plan.nearest),
        "nearest_differences": [difference(d) for d in plan.changes],
        "last_duration_s": plan.last_duration_s,
    }


def difference(found: Difference) -> dict[str, Any]:
    """Describe one fact that differs."""
    return {"fact": found.key, "words": fact_of(found.key).words, "old": found.old, "new": found.new}


def host(capabilities: HostCapabilities) -> dict[str, Any]:
    """Describe a host by the facts that c10 knows of it."""
    return asdict(capabilities)


def counts(values: Iterable[str]) -> dict[str, int]:
    """Count equal values, in order of first appearance."""
    return dict(Counter(values))
