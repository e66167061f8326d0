"""The decision table: every fact that goes into a build, and whether a change of it requires a rebuild.

The rows of build options and of the host come from their tables: ``BUILD_OPTIONS`` and ``HOST_FACTS``.
A changed input requires a rebuild, because the engine is or may be wrong. A changed note does not: notes record
how an engine was built. A fact that might affect the engine is classed as an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from c10.corpus.spec import BUILD_OPTIONS
from c10.host.capabilities import HOST_FACTS
from c10.proof.form import Profile

Effect = Literal["rebuild", "note"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the decision table: a recorded fact."""

    key: str
    """The fact's name in the record, with its section: ``host.sm``."""
    words: str
    """The fact's name in messages: "compute capability"."""
    effect: Effect = "rebuild"
    """What a change of the fact requires."""
    hint: str = ""
    """The likely cause of a change, as a question; "" if none is known."""


FACTS: Final = (
    Fact("model_name", "model name"),
    Fact("source.onnx", "ONNX"),
    Fact("source.external_data", "external data"),
    *(Fact(f"source.{option.role}", option.words) for option in BUILD_OPTIONS if option.role),
    Fact("precision", "precision"),
    Fact("workspace_mb", "workspace (MiB)"),
    Fact("profiles", "optimization profiles"),
    *(Fact(f"options.{option.name}", option.words) for option in BUILD_OPTIONS if option.in_definition),
    Fact("runtime.name", "runtime"),
    Fact("runtime.version", "runtime version"),
    Fact("runtime.onnx_parser", "ONNX parser"),
    Fact("runtime.converter", "precision converter"),
    Fact("runtime.onnx", "onnx package"),
    Fact("runtime.configure", "builder configuration by c10"),
    *(Fact(f"host.{fact.name}", fact.words, hint=fact.hint) for fact in HOST_FACTS if fact.keys),
    Fact("environment.NVIDIA_TF32_OVERRIDE", "NVIDIA_TF32_OVERRIDE"),
    Fact("c10_version", "c10", "note"),
    Fact("python_version", "Python", "note"),
    Fact("power_mode", "power mode", "note"),
    Fact("started_on", "build start", "note"),
    Fact("finished_on", "build end", "note"),
)

_BY_KEY: Final = {fact.key: fact for fact in FACTS}


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that differs between two builds, or between a build and a host."""

    key: str
    """A key of the decision table; for external data with the file: ``source.external_data:weights.bin``."""
    old: Any
    """The recorded value, as JSON; None if the record lacks the fact."""
    new: Any
    """The current value, as JSON; None if there is none."""

    def __str__(self) -> str:
        return describe(self)


def fact_of(key: str) -> Fact:
    """Return the table's row for a key, ignoring what follows a colon (``source.external_data:weights.bin``)."""
    return _BY_KEY.get(key.partition(":")[0], Fact(key, key))


def describe(difference: Difference) -> str:
    """Put a difference into words: ``SM count 16 → 8 (power mode changed?)``."""
    fact = fact_of(difference.key)
    name = difference.key.partition(":")[2]
    subject = f"{fact.words} {name}" if name else fact.words
    hint = f" ({fact.hint})" if fact.hint else ""
    if fact.key.startswith("source."):
        if difference.old is None or difference.new is None:
            return f"{subject} {'added' if difference.old is None else 'removed'}"
        return f"{subject} changed: sha256 {str(difference.old)[:12]}… → {str(difference.new)[:12]}…"
    if fact.key == "runtime.version":
        subject = "TensorRT"
    return f"{subject} {_value(difference.old)} → {_value(difference.new)}{hint}"


def profile_words(profile: Profile) -> str:
    """Put a recorded optimization profile into words: each input with its shape, or its range of shapes."""
    return ", ".join(
        f"{name} {_shape(shapes['opt'])}"
        if shapes["min"] == shapes["max"]
        else f"{name} {_shape(shapes['min'])}…{_shape(shapes['max'])}"
        for name, shapes in profile.items()
    )


def _shape(shape: Any) -> str:
    """Put a shape into words; a record holds a number beyond 53 bits as a string."""
    return f"[{', '.join(map(str, shape))}]" if isinstance(shape, list) else str(shape)


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, list):
        return str(value)
    return "; ".join(profile_words(item) if _is_profile(item) else str(item) for item in value)


def _is_profile(value: Any) -> bool:
    """Whether a value has a profile's form; a record is untrusted input until it is proved."""
    return isinstance(value, dict) and all(
        isinstance(shapes, dict) and shapes.keys() >= {"min", "opt", "max"} for shapes in value.values()
    )
