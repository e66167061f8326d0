"""What a doit run remembers about files: for that run alone, and never under a stamp that proves nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import coarse_clock
import pytest
from coarse_clock import just_after, long_after
from doit.dependency import MD5Checker
from doit.globals import Globals

from c10.building.run import RunState
from c10.cache.reading import EngineReader
from c10.files import ahead
from c10.files import digest as digest_module
from c10.files.digest import FileDigest, digest_file
from c10.plugin.run_state import SourceChecker, current_run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    return path


def modified(checker: SourceChecker, file: Path, state: object) -> bool:
    return checker.check_modified(str(file), file.stat(), state)


def test_the_state_of_a_file_that_may_change_unnoticed_is_checked_by_reading(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse_clock.stop(monkeypatch)
    saved = SourceChecker(RunState(just_after)).get_state(str(file), None)
    assert saved is not None
    assert saved[1] == []
    assert not modified(SourceChecker(RunState(long_after)), file, saved)
    file.write_bytes(b"WEIGHTS")
    assert modified(SourceChecker(RunState(long_after)), file, saved)


def test_the_state_of_a_file_at_rest_is_checked_by_its_stamp(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse_clock.stop(monkeypatch)
    saved = SourceChecker(RunState(long_after)).get_state(str(file), None)
    run = RunState(long_after)
    monkeypatch.delattr(run, "sources")  # nothing is read
    assert not modified(SourceChecker(run), file, saved)
    assert SourceChecker(run).get_state(str(file), saved) is None


def test_a_file_that_changed_is_modified_only_if_its_content_differs(file: Path) -> None:
    saved = SourceChecker().get_state(str(file), None)
    file.write_bytes(b"weights")
    assert not modified(SourceChecker(), file, saved)
    file.write_bytes(b"WEIGHTS")
    assert modified(SourceChecker(), file, saved)


def test_a_missing_file_is_the_error_that_doit_expects(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SourceChecker().get_state(str(tmp_path / "none"), None)


@pytest.mark.parametrize("kind", [SourceChecker, MD5Checker])
def test_a_run_has_one_state_and_the_next_run_another(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Globals, "dep_manager", SimpleNamespace(checker=kind()))
    first = current_run()
    assert current_run() is first
    monkeypatch.setattr(Globals, "dep_manager", SimpleNamespace(checker=kind()))
    assert current_run() is not first


def test_outside_a_run_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Globals, "dep_manager", None)
    assert current_run() is not current_run()


def test_an_engine_at_rest_is_read_once_for_its_task_and_for_the_image(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counting(path: Path) -> FileDigest:
        read.append(path)
        return digest_file(path)

    monkeypatch.setattr(ahead, "digest_file", counting)
    monkeypatch.setattr(digest_module, "_RACY_NS", -(1 << 62))
    run = RunState()
    monkeypatch.delattr(run.sources, "_digest")  # it would read the file
    found = run.engine_digest(file)
    assert run.sources.sha256(file) == found.sha256
    assert read == [file]


def test_a_command_reads_an_engine_again_that_may_have_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse_clock.stop(monkeypatch)
    monkeypatch.setattr(ahead, "digest_file", lambda path: digest_file(path, just_after))
    reader = EngineReader()
    old = reader.digest(file)
    file.write_bytes(b"WEIGHTS")
    assert reader.digest(file).sha256 == digest_file(file).sha256 != old.sha256
