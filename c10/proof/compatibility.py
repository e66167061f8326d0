"""Checks whether an engine fits this host.

A fact of the record that differs from the host's is an obstacle; a fact that is unknown on either side is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from c10.corpus.runtimes import RUNTIME_OF
from c10.files.naming import EngineFilenameSchema
from c10.host.capabilities import HostCapabilities
from c10.proof.definition import recorded_options
from c10.proof.facts import Difference
from c10.proof.record import BuildRecord

_UNKNOWN: Final = (None, "none")  # JetPack "none" is also what a container reports that cannot detect it
#: Facts that an engine built for several GPUs does not depend on.
#: Source: TensorRT's documentation, Hardware Compatibility.
_WAIVED: Final = {
    "ampere_plus": {"sm_count", "device_name"},
    "same_compute_capability": {"sm_count", "device_name"},
}


def contradictions(record: BuildRecord, host: HostCapabilities) -> list[Difference]:
    """Return every fact of the engine's host that contradicts this one.

    Raises KeyError, TypeError, ValueError, AttributeError or C10Error if the record lacks c10's structure.
    """
    return list(_contradictions(record, host))


def _contradictions(record: BuildRecord, host: HostCapabilities) -> Iterator[Difference]:
    name = EngineFilenameSchema.parse(record.engine_name)
    options = recorded_options(record.definition)
    built = record.definition["internalParameters"]
    version = str(built["runtime"]["version"])
    here: str | None = getattr(host, RUNTIME_OF[name.runtime].version_fact)
    if here is not None and not _loads(version, here, newer=options["version_compatible"] is True):
        yield Difference("runtime.version", version, here)
    if host.sm is not None and not _covers(name.sm, host.sm):
        yield Difference("host.sm", name.sm, host.sm)
    ignored = {"sm"} | _WAIVED.get(options["hardware_compatibility"], set())
    for fact, value in built["host"].items():
        now = getattr(host, fact)
        if fact not in ignored and value is not None and now not in _UNKNOWN and value != now:
            yield Difference(f"host.{fact}", value, now)


def _loads(built: str, here: str, *, newer: bool) -> bool:
    """Whether TensorRT ``here`` loads an engine of ``built``: the same version, or, if ``newer``, an older minor."""
    before, now = built.split("."), here.split(".")
    shared = min(len(before), len(now))
    if before[:shared] == now[:shared]:
        return True
    return newer and before[0] == now[0] and _numbers(before) <= _numbers(now)


def _numbers(parts: list[str]) -> list[int]:
    return [int(part) for part in parts]


def _covers(targets: str, sm: str) -> bool:
    listed = targets.removesuffix("+").split(".")
    return sm in listed or (targets.endswith("+") and int(sm) > int(listed[-1]))
