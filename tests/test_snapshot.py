"""Sources before and after a compile: any change between the two is noticed, and no file is read without need."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import coarse_clock
import pytest
from coarse_clock import just_after, long_after

from c10.errors import SourceError
from c10.files.digest import FileDigest, digest_file
from c10.proof.snapshot import SourceSnapshot
from c10.proof.sources import SourceDigests


class Reading:
    """Digests on a machine whose clock a test sets, with a note of each file that was read."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.read: list[str] = []
        self.clock = clock

    def __call__(self, path: Path) -> FileDigest:
        self.read.append(path.name)
        return digest_file(path, self.clock)

    def sources(self) -> SourceDigests:
        return SourceDigests(self, self.clock)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse_clock.stop(monkeypatch)


def snapshot_of(sources: SourceDigests, *paths: Path) -> SourceSnapshot:
    snapshot = SourceSnapshot(sources)
    for path in paths:
        snapshot.add(path)
    return snapshot


@pytest.mark.usefixtures("stopped")
def test_a_source_at_rest_is_read_once_and_during_the_compile(source: Path) -> None:
    reading = Reading(long_after)
    snapshot = snapshot_of(reading.sources(), source, source)
    assert reading.read == []
    with snapshot.hashing():
        pass
    assert snapshot.changed() == []
    assert reading.read == ["model.onnx"]
    assert snapshot.by_role({"onnx": source}) == {"onnx": digest_file(source).sha256}


@pytest.mark.usefixtures("stopped")
def test_a_source_at_rest_that_was_hashed_for_the_verdict_is_not_read_again(source: Path) -> None:
    reading = Reading(long_after)
    sources = reading.sources()
    sources.sha256(source)
    snapshot = snapshot_of(sources, source)
    with snapshot.hashing():
        pass
    assert snapshot.changed() == []
    assert reading.read == ["model.onnx"]


@pytest.mark.usefixtures("stopped")
def test_a_young_source_is_read_before_and_after_the_compile(source: Path) -> None:
    reading = Reading(just_after)
    snapshot = snapshot_of(reading.sources(), source)
    assert reading.read == ["model.onnx"]
    with snapshot.hashing():
        pass
    assert reading.read == ["model.onnx"]
    assert snapshot.changed() == []
    assert reading.read == ["model.onnx"] * 2


@pytest.mark.usefixtures("stopped")
def test_a_young_source_that_is_rewritten_under_the_same_stamp_is_noticed(source: Path) -> None:
    snapshot = snapshot_of(Reading(just_after).sources(), source)
    with snapshot.hashing():
        source.write_bytes(b"WEIGHTS")
    assert snapshot.changed() == [source]


@pytest.mark.parametrize("clock", [just_after, long_after])
def test_a_source_that_was_replaced_and_put_back_is_noticed(source: Path, clock: Callable[[], int]) -> None:
    snapshot = snapshot_of(Reading(clock).sources(), source)
    with snapshot.hashing():
        kept = source.rename(source.with_name("kept"))
        source.write_bytes(b"WEIGHTS")
        os.utime(source, ns=(0, 0))
        kept.replace(source)
    assert source.read_bytes() == b"weights"
    assert snapshot.changed() == [source]


def test_a_source_that_another_writer_rewrote_and_restored_is_noticed(source: Path) -> None:
    status = source.stat()
    snapshot = snapshot_of(SourceDigests(), source)
    with snapshot.hashing():
        source.write_bytes(b"WEIGHTS")
        source.write_bytes(b"weights")
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert snapshot.changed() == [source]


def test_a_source_that_is_gone_is_an_error_that_names_it(source: Path) -> None:
    snapshot = snapshot_of(SourceDigests(), source)
    source.unlink()
    with pytest.raises(SourceError, match=r"model\.onnx"):
        snapshot.changed()
