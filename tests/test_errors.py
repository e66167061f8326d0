"""Errors cross processes whole, and read as messages."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from c10 import errors
from c10.errors import C10Error, CalibrationCacheError, ConfigError, EngineBuildError


def _subclasses(kind: type[C10Error]) -> Iterator[type[C10Error]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


KINDS = sorted({kind for kind in _subclasses(C10Error) if kind.__module__ == errors.__name__}, key=lambda k: k.__name__)


def make(kind: type[C10Error]) -> C10Error:
    extra: dict[str, Any] = {}
    if issubclass(kind, CalibrationCacheError):
        extra = {"calibration_path": Path("a.cache")}
    elif issubclass(kind, EngineBuildError):
        extra = {"log": ("the parser's words", "the builder's words")}
    return kind("where: what: expected X, got Y", remedy="Do this.", **extra)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_are_picklable_whole(kind: type[C10Error], protocol: int) -> None:
    error = make(kind)
    back = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(back) is kind
    assert vars(back) == vars(error)
    assert str(back) == str(error)
    assert back.args == error.args


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_can_be_copied(kind: type[C10Error]) -> None:
    assert vars(copy.copy(make(kind))) == vars(make(kind))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_message_then_log_then_remedy(kind: type[C10Error]) -> None:
    lines = str(make(kind)).splitlines()
    assert lines[0] == "where: what: expected X, got Y"
    assert lines[-1] == "Do this."
    logged = ["    the parser's words", "    the builder's words"] if hasattr(make(kind), "log") else []
    assert lines[1:-1] == (logged if not isinstance(make(kind), CalibrationCacheError) else [])


def test_without_a_remedy_there_is_one_line() -> None:
    assert str(C10Error("alone")) == "alone"
    assert str(EngineBuildError("alone")) == "alone"


def test_config_error_keeps_its_problems() -> None:
    error = ConfigError(["a: b: c", "d: e: f"])
    assert error.problems == ["a: b: c", "d: e: f"]
    assert str(error) == "a: b: c\nd: e: f"
    assert ConfigError("one").problems == ["one"]


def test_the_tree_of_the_design() -> None:
    tree = {kind.__name__: kind.__mro__[1].__name__ for kind in KINDS if kind is not C10Error}
    for child, parent in {
        "ConfigError": "C10Error",
        "InvalidEngineNameError": "C10Error",
        "HostProbeError": "C10Error",
        "EngineBuildError": "C10Error",
        "CalibrationCacheError": "EngineBuildError",
        "VerificationError": "C10Error",
        "MissingSidecarError": "VerificationError",
        "InvalidSidecarError": "VerificationError",
        "DigestMismatchError": "VerificationError",
    }.items():
        assert tree[child] == parent
