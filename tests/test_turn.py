"""Two runs in one process: the second waits, each has its own state, and a run inside a run is refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Corpus, request_of
from scripted_runtime import Runtime, write

from c10 import C10Error, EngineCacheEntry, EngineCompiler, EngineCompileResult
from c10.plugin.turn import Turn

Build = Callable[[Path, Path], EngineCacheEntry]


def compiled(corpus: Corpus, build: Build) -> tuple[EngineCompileResult, ...]:
    return EngineCompiler(Runtime(build)).compile_engines_for_corpus(request_of(corpus))


def test_a_run_in_another_thread_waits_and_both_give_their_engines(tmp_path: Path) -> None:
    first, second = (Corpus(tmp_path / name).write() for name in ("first", "second"))
    inside, go_on = threading.Event(), threading.Event()
    order: list[str] = []
    results: dict[str, tuple[EngineCompileResult, ...]] = {}

    def of_first(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        inside.set()
        assert go_on.wait(60)
        order.append("first")
        return write(onnx_path, output_path)

    def of_second(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        order.append("second")
        return write(onnx_path, output_path)

    def run(name: str, corpus: Corpus, build: Build) -> None:
        results[name] = compiled(corpus, build)

    one = threading.Thread(target=run, args=("first", first, of_first))
    two = threading.Thread(target=run, args=("second", second, of_second))
    one.start()
    assert inside.wait(60)
    two.start()
    two.join(0.3)
    assert two.is_alive()  # it waits
    go_on.set()
    one.join(60)
    two.join(60)
    assert order == ["first"] * 3 + ["second"] * 3
    for name, corpus in (("first", first), ("second", second)):
        assert {result.entry.engine_path.parent for result in results[name]} == {request_of(corpus).cache_root}
        assert {result.outcome.value for result in results[name]} == {"BUILT"}


def test_a_run_inside_a_run_is_refused_and_the_next_run_works(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path).write()

    def again(onnx_path: Path, output_path: Path) -> EngineCacheEntry:
        compiled(corpus, write)
        return write(onnx_path, output_path)

    with pytest.raises(C10Error, match="expected no run inside a run"):
        compiled(corpus, again)
    assert len(compiled(corpus, write)) == 3


def test_a_turn_is_given_back_after_an_error() -> None:
    turn = Turn()
    with pytest.raises(KeyError), turn.taken():
        raise KeyError
    with turn.taken():
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.process
def test_a_child_forked_while_another_thread_runs_has_its_own_turn() -> None:
    turn = Turn()
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with turn.taken():
            taken.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(60)
    child = os.fork()
    if child == 0:
        with turn.taken():  # a lock of the parent would wait for ever
            os._exit(7)
    deadline = threading.Timer(30, os.kill, (child, 9))
    deadline.start()
    _, status = os.waitpid(child, 0)
    deadline.cancel()
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7


@pytest.mark.process
def test_a_child_forked_by_the_thread_that_runs_has_its_own_turn() -> None:
    turn = Turn()
    with turn.taken():
        child = os.fork()
        if child == 0:
            try:
                with turn.taken():
                    os._exit(7)
            finally:
                os._exit(1)  # refused
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
