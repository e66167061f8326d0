"""Parses the description of a host: ``sm=87,jp=6.2.1,trt=10.3``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from c10.errors import HostProbeError
from c10.host.capabilities import FACT_OF, HostCapabilities
from c10.host.jetpack import jetpack_of
from c10.host.tensorrt import SUPPORTED_MAJORS

FIELDS: Final = tuple(sorted(FACT_OF))

EXAMPLE: Final = "sm=87,jp=6.2.1,trt=10.3"


def parse_host(text: str) -> HostCapabilities:
    """Parse ``FIELD=VALUE`` pairs joined by commas; a fact implied by another may be omitted. Raises HostProbeError."""
    facts: dict[str, str] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, value = _fact(item)
        if name in facts:
            raise _wrong(f"{name}: expected once, got {facts[name]} and {value}")
        facts[name] = value
    if not facts:
        raise _wrong(f"expected FIELD=VALUE, FIELD one of {', '.join(FIELDS)}, got none of these")
    _complete(facts, "trt", "trt_version", _prefixes)
    _complete(facts, "jp", "l4t", lambda l4t: [jetpack_of(l4t)])
    _refuse_unsupported(facts)
    values = {name: int(value) if FACT_OF[name].form.is_number else value for name, value in facts.items()}
    return HostCapabilities(**values)  # type: ignore[arg-type] # counts are int, the other values are str


def _fact(item: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in item.partition("="))
    if name not in FIELDS or not value:
        raise _wrong(f"expected FIELD=VALUE, FIELD one of {', '.join(FIELDS)}, got {item!r}")
    form = FACT_OF[name].form
    if re.fullmatch(form.pattern, value, re.ASCII) is None:
        raise _wrong(f"{name}: expected {form.words}, got {value!r}")
    return name, value.replace(".", "") if name == "sm" else value  # NVIDIA's pages write 8.7


def _complete(facts: dict[str, str], name: str, source: str, meaning: Callable[[str], Sequence[str]]) -> None:
    """Set the fact ``name`` from the more detailed ``source``; raise HostProbeError if the two contradict."""
    if source not in facts:
        return
    implied = meaning(facts[source])
    if facts.setdefault(name, implied[0]) not in implied:
        raise _wrong(f"{name}: expected {implied[0]} as of {source}={facts[source]}, got {facts[name]}")


def _prefixes(version: str) -> list[str]:
    """Return the version's prefixes, from major.minor to the full version."""
    parts = version.split(".")
    return [".".join(parts[:length]) for length in range(2, len(parts) + 1)]


def _refuse_unsupported(facts: dict[str, str]) -> None:
    trt = facts.get("trt")
    if trt and int(trt.split(".")[0]) not in SUPPORTED_MAJORS:
        known = " or ".join(f"{major}.x" for major in sorted(SUPPORTED_MAJORS))
        raise _wrong(f"trt: expected TensorRT {known}, got {trt}")
    for name, value in facts.items():
        row = FACT_OF[name]
        if row.oldest and _numbers(value) < _numbers(row.oldest):
            raise _wrong(f"{name}: expected {row.words} {row.oldest} or later, got {value}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _wrong(message: str) -> HostProbeError:
    return HostProbeError(message, remedy=f"Write for example --host {EXAMPLE}")
