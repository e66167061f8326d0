"""Hashing ahead: never a digest of bytes that are not there any more, never a file that nobody asked about."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import wait
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from doit.globals import Globals
from doit.task import dict_to_task
from fake_runtime import planned
from harness import MODELS, Corpus, Run, flip_byte, run

from c10.files import ahead
from c10.files import digest as digest_module
from c10.files.ahead import DigestAhead
from c10.files.digest import FileDigest, digest_file
from c10.plugin.reporter import RunReporter
from c10.plugin.run_state import SourceChecker, current_run
from c10.tasks import engine_tasks

SIZE = 1 << 20


class CountingDigest:
    """The real digest_file, with a note of each file that was read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> FileDigest:
        self.read.append(path.name)
        return digest_file(path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counting = CountingDigest()
    monkeypatch.setattr(ahead, "digest_file", counting)
    return counting.read


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that the test has just written count as old ones; what guards them then is stat alone."""
    monkeypatch.setattr(digest_module, "_RACY_NS", -(1 << 62))


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "a.engine"
    path.write_bytes(os.urandom(SIZE))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashed_ahead(verifier: DigestAhead, *paths: Path) -> None:
    """Start to hash ahead and wait until all of it is done: the worst moment for a change."""
    verifier.prefetch(paths)
    wait(verifier._ahead.values())


@pytest.mark.usefixtures("at_rest")
def test_a_file_that_stays_is_read_once(engine: Path, reads: list[str]) -> None:
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    assert verifier.digest(engine).sha256 == sha256(engine)
    assert reads == [engine.name]
    assert verifier.seconds(engine) > 0


@pytest.mark.usefixtures("at_rest")
def test_a_digest_is_handed_out_once(engine: Path, reads: list[str]) -> None:
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    assert verifier.digest(engine) == verifier.digest(engine)
    assert reads == [engine.name] * 2


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(os.urandom(path.stat().st_size))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


def overwritten(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(os.urandom(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def linked_elsewhere(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(os.urandom(path.stat().st_size))
    path.unlink()
    path.symlink_to(other)


CHANGES = [replaced, overwritten, flip_byte, shortened, linked_elsewhere]


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_hash_is_seen(engine: Path, change: Callable[[Path], None]) -> None:
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    before = sha256(engine)
    change(engine)
    assert verifier.digest(engine).sha256 == sha256(engine) != before


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("gone", [Path.unlink, lambda path: (path.unlink(), path.mkdir())])
def test_what_is_no_file_any_more_has_no_digest(engine: Path, gone: Callable[[Path], None]) -> None:
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    gone(engine)
    with pytest.raises(OSError, match=engine.name):
        verifier.digest(engine)


def test_a_file_written_to_a_moment_ago_is_read_again(engine: Path, reads: list[str]) -> None:
    """Its next change could fall into the same tick of the file system's clock, and stat would not show it."""
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    assert verifier.digest(engine).sha256 == sha256(engine)
    assert reads == [engine.name] * 2


def test_what_could_not_be_read_ahead_is_read_when_it_is_asked_for(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_once(path: Path) -> FileDigest:
        monkeypatch.setattr(ahead, "digest_file", digest_file)
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(ahead, "digest_file", fails_once)
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    assert verifier.digest(engine).sha256 == sha256(engine)


def test_small_and_missing_files_are_left_for_the_question(tmp_path: Path, reads: list[str]) -> None:
    small = tmp_path / "small.engine"
    small.write_bytes(b"small")
    verifier = DigestAhead()
    hashed_ahead(verifier, small, tmp_path / "missing.engine", tmp_path)
    assert reads == []
    assert verifier.digest(small).sha256 == sha256(small)


def test_what_was_not_asked_for_is_dropped(engine: Path, reads: list[str]) -> None:
    verifier = DigestAhead()
    hashed_ahead(verifier, engine)
    verifier.forget()
    verifier.digest(engine)
    assert reads == [engine.name] * 2


def test_as_many_files_at_once_as_there_are_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hash waits for the others: one core fewer in use, and the barrier breaks."""
    cores = 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    together = threading.Barrier(cores, timeout=60)

    def meeting(path: Path) -> FileDigest:
        together.wait()
        return digest_file(path)

    monkeypatch.setattr(ahead, "digest_file", meeting)
    engines = [tmp_path / f"{index}.engine" for index in range(2 * cores)]
    for path in engines:
        path.write_bytes(os.urandom(SIZE))
    verifier = DigestAhead()
    hashed_ahead(verifier, *engines)
    assert [future.exception() for future in verifier._ahead.values()] == [None] * len(engines)


def test_the_largest_is_hashed_first(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    sizes = {"b.engine": SIZE, "a.engine": 3 * SIZE, "c.engine": 2 * SIZE}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    hashed_ahead(DigestAhead(), *(tmp_path / name for name in sizes))
    assert reads == ["a.engine", "c.engine", "b.engine"]


def warm_run_with(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None] | None) -> Run:
    """Run a built corpus; once all engines are hashed, and before the first is asked about, change one."""
    victim = corpus.engine("lightglue")
    ask = DigestAhead.digest
    changed: list[Path] = []

    def asked(verifier: DigestAhead, path: Path) -> FileDigest:
        if not changed:
            changed.append(victim)
            assert victim in verifier._ahead
            wait(verifier._ahead.values())
            if change is not None:
                change(victim)
        return ask(verifier, path)

    monkeypatch.setattr(DigestAhead, "digest", asked)
    monkeypatch.setattr(ahead, "_WORTH_A_THREAD", 0)
    return run("EngineCompiler", corpus)


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("change", [None, *CHANGES])
def test_an_engine_swapped_after_its_hash_is_never_reused(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None] | None
) -> None:
    run("EngineCompiler", corpus)
    warm = warm_run_with(corpus, monkeypatch, change)
    expected = "REUSED" if change is None else "BUILT"
    assert warm.outcomes == {"dinov2_vpr": "REUSED", "lightglue": expected, "aliked": "REUSED"}
    if change is not None:
        assert "digest_mismatch" in warm.reason("lightglue")


@pytest.mark.parametrize(("selected", "expected"), [("engines:aliked", ["aliked"]), ("engines", list(MODELS))])
def test_only_the_selected_engines_are_hashed_ahead(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, selected: str, expected: list[str]
) -> None:
    run("EngineCompiler", corpus)
    monkeypatch.setattr(ahead, "_WORTH_A_THREAD", 0)
    host, runtime = planned(corpus.folder)
    made = engine_tasks(corpus.folder / "backbones.toml", host=host, runtime=runtime)
    tasks = {f"engines:{d['name']}": dict_to_task({**d, "name": f"engines:{d['name']}"}) for d in made}
    tasks["engines"] = dict_to_task({"name": "engines", "actions": None, "task_dep": list(tasks)})
    monkeypatch.setattr(Globals, "dep_manager", SimpleNamespace(checker=SourceChecker()))
    RunReporter(StringIO(), {}).initialize(tasks, [selected])
    assert sorted(current_run().engines._ahead) == sorted(corpus.engine(name) for name in expected)
