"""Parses the description of a host: ``sm=87,jp=6.2.1,trt=10.3``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Final

from c10.errors import HostProbeError
from c10.host.capabilities import HostCapabilities
from c10.host.jetpack import jetpack_of
from c10.host.tensorrt import SUPPORTED_MAJORS

FIELDS: Final = tuple(sorted(field.name for field in fields(HostCapabilities)))

EXAMPLE: Final = "sm=87,jp=6.2.1,trt=10.3"

_NUMBER: Final = r"\d{1,9}"  # longer numbers are typing errors, and int() refuses very long ones
_VERSION: Final = rf"{_NUMBER}(?:\.{_NUMBER}){{1,5}}"
#: Pattern of each fact's value, and its description for messages; other facts are free text.
_FORMS: Final = {
    "sm": (r"[1-9]\d{1,2}|[1-9]\d?\.\d", "a compute capability such as 87 or 8.7"),
    "jp": (rf"none|(?:l4t)?{_VERSION}", "a JetPack version such as 6.2.1, or none"),
    "l4t": (rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", "an L4T release such as 36.4.3"),
    "trt": (_VERSION, "a version such as 10.3"),
    "trt_version": (_VERSION, "a version such as 10.3.0.26"),
    "rtx_version": (_VERSION, "a version such as 1.7"),
    "cuda_driver": (_VERSION, "a version such as 12.6"),
    "sm_count": (rf"(?!0){_NUMBER}", "a positive int"),
    "memory_mb": (rf"(?!0){_NUMBER}", "a positive int"),
}
_COUNTS: Final = ("sm_count", "memory_mb")
_FIRST_RTX: Final = (1, 4)


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
    values = {name: int(value) if name in _COUNTS else value for name, value in facts.items()}
    return HostCapabilities(**values)  # type: ignore[arg-type] # counts are int, the other values are str


def _fact(item: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in item.partition("="))
    if name not in FIELDS or not value:
        raise _wrong(f"expected FIELD=VALUE, FIELD one of {', '.join(FIELDS)}, got {item!r}")
    form, words = _FORMS.get(name, (".+", "text"))
    if re.fullmatch(form, value, re.ASCII) is None:
        raise _wrong(f"{name}: expected {words}, got {value!r}")
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
    trt, rtx = facts.get("trt"), facts.get("rtx_version")
    if trt and int(trt.split(".")[0]) not in SUPPORTED_MAJORS:
        known = " or ".join(f"{major}.x" for major in sorted(SUPPORTED_MAJORS))
        raise _wrong(f"trt: expected TensorRT {known}, got {trt}")
    if rtx and tuple(map(int, rtx.split("."))) < _FIRST_RTX:
        raise _wrong(f"rtx_version: expected TensorRT-RTX {'.'.join(map(str, _FIRST_RTX))} or later, got {rtx}")


def _wrong(message: str) -> HostProbeError:
    return HostProbeError(message, remedy=f"Write for example --host {EXAMPLE}")
