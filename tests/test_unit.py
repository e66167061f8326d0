"""Which tests count as unit tests, and that one which starts a process is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_corpus
import harness
import pytest
import unit
from harness import Corpus, onnx_bytes

SELF = Path(__file__)


def _starts() -> None:
    subprocess.run(["true"], check=True)


def _by_a_helper() -> None:
    _starts()


def _by_a_method(corpus: Corpus) -> None:
    corpus.doit("list")


def _in_a_comprehension() -> list[None]:
    return [_starts() for _ in range(2)]


def _by_a_module() -> None:
    command_corpus.command(Path(), "engines-plan")


def _in_memory() -> bytes:
    return onnx_bytes(SELF.name)


def _of_a_class(corpus: Corpus) -> Path:
    return corpus.onnx("aliked")


@pytest.mark.parametrize("function", [_starts, _by_a_helper, _in_a_comprehension, _by_a_module, harness.doit])
def test_what_names_a_process_anywhere_is_no_unit_test(function: Callable[..., Any]) -> None:
    assert unit.reaches_a_process((function,))


def _makes_a_corpus() -> Corpus:
    return Corpus(Path()).write()


def test_a_method_counts_where_its_name_and_a_fixture_that_makes_its_class_meet() -> None:
    assert unit.reaches_a_process((_by_a_method, _makes_a_corpus))
    assert not unit.reaches_a_process((_of_a_class, _makes_a_corpus))
    assert not unit.reaches_a_process((_in_memory,))


def test_the_marker_is_given_to_this_test(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("unit")


def test_a_unit_test_that_starts_a_process_is_refused() -> None:
    guard = unit.NoProcess()
    guard._running = "test_x.py::test_y"
    with pytest.raises(RuntimeError, match=r"test_x\.py::test_y counts as a unit test and starts a process"):
        _starts()
    guard.over()
    _starts()
