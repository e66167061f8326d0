"""Which tests are unit tests: those whose code, with the helpers and fixtures it names, can start no process.

Nobody has to mark them. The code of the tests is looked through, and c10's modules that start a process are known; a
test in which c10 starts a process otherwise has the marker `process`. A test that counts as a unit test and starts a
process all the same fails.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from inspect import unwrap
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

TESTS = str(Path(__file__).parent)
_STARTERS = (subprocess, multiprocessing)
_PARENTS = {"c10.runtimes.isolated", "c10.measurement.isolated"}
_EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system"}
_OTHERS = ("process", "gpu", "soak", "root")
_CONSTRUCTION = {"__init__", "__post_init__", "__enter__", "__exit__"}


class NoProcess:
    """Refuses each start of a process while a unit test runs."""

    def __init__(self) -> None:
        self._running: str | None = None
        sys.addaudithook(self._hear)

    def during(self, item: pytest.Item) -> None:
        """Begin to refuse if the test is a unit test."""
        self._running = item.nodeid if item.get_closest_marker("unit") else None

    def over(self) -> None:
        """Refuse nothing until the next test."""
        self._running = None

    def _hear(self, event: str, _: tuple[Any, ...]) -> None:
        if event in _EVENTS and self._running is not None:
            raise RuntimeError(f"{self._running} counts as a unit test and starts a process: mark it `process`")


def mark_unit_tests(items: Iterable[pytest.Item]) -> None:
    """Give each unit test the marker `unit`."""
    for item in items:
        others = any(item.get_closest_marker(name) for name in _OTHERS)
        if isinstance(item, pytest.Function) and not others and not starts_process(item):
            item.add_marker(pytest.mark.unit)


def starts_process(item: pytest.Function) -> bool:
    """Whether the test's own code can start a process."""
    fixtures = [found.func for named in item._fixtureinfo.name2fixturedefs.values() for found in named]
    return reaches_a_process((item.function, *fixtures))


@cache  # once for all cases of a test
def reaches_a_process(functions: tuple[Callable[..., Any], ...]) -> bool:
    """Whether functions, or what they name in the tests' own modules, name a module that starts processes."""
    waiting: list[Any] = list(functions)
    seen: set[int] = set()
    names: set[str] = set(_CONSTRUCTION)
    classes: list[type] = []
    while waiting or (waiting := [m for kind in classes for name in names if (m := _method(kind, name, seen))]):
        value = _inside(waiting.pop())
        if any(value is starter for starter in _STARTERS) or _is_of_the_parent(value):
            return True
        if id(value) in seen or not _is_of_the_tests(value):
            continue
        if isinstance(value, type):
            classes.append(value)
        elif isinstance(value, FunctionType):
            new = set(_names_of(value.__code__))
            names |= new
            waiting += [value.__globals__[name] for name in new & value.__globals__.keys()]
        else:
            waiting += [vars(value)[name] for name in names & vars(value).keys()]
        seen.add(id(value))
    return False


def _is_of_the_parent(value: object) -> bool:
    """Whether this is c10's side of a compile or a measurement in another process."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name in _PARENTS


def _inside(value: Any) -> Any:
    """Return the function that a decorator wraps; anything else as it is."""
    return (
        unwrap(value) if isinstance(value, FunctionType | MethodType) or hasattr(type(value), "cache_info") else value
    )


def _method(kind: type, name: str, seen: set[int]) -> FunctionType | None:
    found = getattr(kind, name, None)
    found = getattr(found, "fget", found)
    found = unwrap(getattr(found, "__func__", found)) if found is not None else None
    return found if isinstance(found, FunctionType) and _is_of_the_tests(found) and id(found) not in seen else None


def _is_of_the_tests(value: object) -> bool:
    match value:
        case ModuleType():
            return (value.__file__ or "").startswith(TESTS + os.sep) if hasattr(value, "__file__") else False
        case FunctionType():
            return value.__code__.co_filename.startswith(TESTS + os.sep)
        case type():
            return _is_of_the_tests(sys.modules.get(value.__module__))
        case _:
            return False


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)
