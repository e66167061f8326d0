"""What one run says about one engine that is there, and how doit's database keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Final

from c10.files.digest import HEX_DIGEST
from c10.proof.record import BuildRecord
from c10.proof.verdict import Verdict
from c10.runtimes.protocol import CompileOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult:
    """An engine that was built or reused."""

    outcome: CompileOutcome
    """How the engine came about."""
    reason: str
    """Why it was built or reused, in words: the verdict's."""
    sha256: str
    """Of the engine's bytes, in hex."""
    size: int
    """Of the engine, in bytes."""
    build_key: str
    """Of the engine's record."""
    duration_s: float | None = None
    """Duration of this run's compile, in seconds; None if this run did not compile the engine."""
    network: str = ""
    """How much of a converted network has the engine's precision, in words; "" if c10 did not convert it."""
    warnings: tuple[str, ...] = ()
    """What parser, builder and converter warned of, one line each."""
    sources: Mapping[str, Any] = field(default_factory=dict)
    """Digests of the sources by path, as ``SourceDigests.dump`` returns them and ``learn`` takes them."""

    @classmethod
    def reused(cls, verdict: Verdict, record: BuildRecord) -> EngineResult:
        """Return the result for an engine that this run did not compile."""
        return cls(
            outcome=CompileOutcome.REUSED,
            reason=str(verdict),
            sha256=record.sha256,
            size=record.size,
            build_key=record.build_key,
        )

    @classmethod
    def built(cls, verdict: Verdict, record: BuildRecord) -> EngineResult:
        """Return the result for an engine that this run compiled because of ``verdict``."""
        network = record.network
        return replace(
            cls.reused(verdict, record),
            outcome=CompileOutcome.BUILT,
            duration_s=record.compile_duration_s,
            network=network.words(record.definition["externalParameters"]["precision"]) if network else "",
            warnings=tuple(network.warnings) if network else (),
        )

    def to_values(self) -> dict[str, Any]:
        """Return the result as JSON values; ``json`` and ``from_values`` give back exactly this result."""
        values = {row.name: getattr(self, row.name) for row in fields(self)}
        return values | {
            "outcome": self.outcome.value,
            "warnings": list(self.warnings),
            "sources": dict(self.sources),
        }

    @classmethod
    def from_values(cls, values: object) -> EngineResult | None:
        """Return the result that ``to_values`` returned; None for anything else.

        A database may be older than this c10, damaged, or edited: whatever is not whole is read as absent.
        """
        if not isinstance(values, dict) or values.keys() != _CHECKS.keys():
            return None
        if not all(check(values[name]) for name, check in _CHECKS.items()):
            return None
        taken = {"outcome": CompileOutcome(values["outcome"]), "warnings": tuple(values["warnings"])}
        return cls(**(values | taken))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and HEX_DIGEST.fullmatch(value) is not None


def _is_duration(value: object) -> bool:
    return value is None or (isinstance(value, float) and isfinite(value) and value >= 0)


#: For each field of EngineResult, whether a JSON value is one that ``to_values`` can have returned.
_CHECKS: Final[dict[str, Callable[[Any], bool]]] = {
    "outcome": lambda value: _is_text(value) and value in {outcome.value for outcome in CompileOutcome},
    "reason": _is_text,
    "sha256": _is_digest,
    "size": lambda value: type(value) is int and value >= 0,
    "build_key": _is_digest,
    "duration_s": _is_duration,
    "network": _is_text,
    "warnings": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "sources": lambda value: isinstance(value, dict),
}
