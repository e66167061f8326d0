"""Locks between processes: they go with the build that took them, and one that keeps nobody away is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from c10.errors import PublishError
from c10.files.locks import held, is_held, lock_path, reserved

HOLD = """
import sys
from pathlib import Path
from c10.files.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
#: A process forks while it holds a lock, ends in the one or the other way, and leaves the fork behind.
FORK = """
import os, sys
from pathlib import Path
from c10.files.locks import held
with held(Path(sys.argv[1])):
    if os.fork() == 0:
        print("forked", flush=True)
        sys.stdin.readline()
        os._exit(0)
    if sys.argv[2] == "dies":
        os._exit(9)
os._exit(0)
"""


@pytest.fixture
def engine_path(tmp_path: Path) -> Path:
    return tmp_path / "engines" / "an.engine"


@pytest.fixture
def path(engine_path: Path) -> Path:
    return lock_path(engine_path)


@contextmanager
def another_process(script: str, word: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script up to its word; it goes on, or its fork does, when a line reaches it or the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{word}\n"
        yield process


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


class Waited(Exception):  # noqa: N818 - no error
    """Raised instead of waiting."""


def would_wait() -> None:
    raise Waited


def test_who_comes_second_waits_until_the_first_is_done(path: Path) -> None:
    with another_process(HOLD, "held", str(path)) as holder:
        waits: list[str] = []

        def release() -> None:
            waits.append("waited")
            go_on(holder)

        with held(path, release):
            assert waits == ["waited"]
    with held(path, would_wait):
        pass


def test_who_only_asks_is_told_at_once(engine_path: Path, path: Path) -> None:
    assert not is_held(engine_path)
    assert not path.parent.exists()  # to ask writes nothing
    with another_process(HOLD, "held", str(path)):
        assert is_held(engine_path)
        with reserved(engine_path) as free:
            assert not free
        assert is_held(engine_path)  # it was not given back by who never had it
    assert not is_held(engine_path)
    with reserved(engine_path) as free:
        assert free
        assert is_held(engine_path)
        with pytest.raises(Waited), held(path, would_wait):
            pass
    assert not is_held(engine_path)


def test_a_lock_is_given_back_though_a_fork_still_has_its_descriptor(path: Path) -> None:
    with another_process(FORK, "forked", str(path), "goes on") as process:
        assert process.wait() == 0  # the block has ended; the fork lives, as a worker of multiprocessing would
        with held(path, would_wait):
            pass


def test_a_lock_stays_for_as_long_as_a_child_may_still_write(path: Path) -> None:
    with another_process(FORK, "forked", str(path), "dies") as process:
        assert process.wait() == 9
        with pytest.raises(Waited), held(path, would_wait):
            pass
        go_on(process)
    with held(path):
        pass


def remake(path: Path) -> None:
    path.unlink()
    path.touch()


def move_the_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("remove", [Path.unlink, remake, move_the_directory])
def test_a_lock_file_that_was_removed_while_it_was_waited_for_is_refused(
    path: Path, remove: Callable[[Path], object]
) -> None:
    with another_process(HOLD, "held", str(path)) as holder:

        def meanwhile() -> None:
            remove(path)
            go_on(holder)

        refused = pytest.raises(PublishError, match="expected the lock file to stay in place, but it was removed")
        with refused as raised, held(path, meanwhile):
            pytest.fail("held a lock that keeps nobody away")
    assert str(path) in raised.value.message
    assert "run `doit engines` again" in raised.value.remedy
    with held(path, would_wait):  # and that is right
        pass
