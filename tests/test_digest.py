"""SHA-256 of files, and the stat stamp that stands for their bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from harness import flip_byte
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c10.files import digest
from c10.files.digest import CHUNK, ChangedWhileReadError, FileStamp, digest_file, open_regular


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=200))
def test_digest_is_sha256_of_the_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert digest_file(path).sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
def test_digest_across_the_bounds_of_a_chunk(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    found = digest_file(path)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.stamp == FileStamp.of(path.stat())
    assert found.stamp.size == size


def test_signature_tells_a_change_whose_mtime_was_put_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    os.utime(path, ns=(1, 1))
    before = digest_file(path)
    flip_byte(path)
    after = digest_file(path)
    assert (before.stamp.size, before.stamp.mtime_ns) == (after.stamp.size, after.stamp.mtime_ns)
    assert before.sha256 != after.sha256
    assert before.stamp != after.stamp  # by its ctime


def test_changed_at_is_the_later_of_mtime_and_ctime() -> None:
    assert FileStamp(1, 5, 9, 1).changed_at_ns == 9
    assert FileStamp(1, 9, 5, 1).changed_at_ns == 9


def test_a_file_that_grows_under_the_read_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)

    class Growing:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def readv(self, descriptor: int, buffers: list[bytearray]) -> int:
            count = os.readv(descriptor, buffers)
            if not count:
                with path.open("ab") as file:
                    file.write(b"more")
            return count

    monkeypatch.setattr(digest, "os", Growing())
    with pytest.raises(ChangedWhileReadError, match="changed while it was read"):
        digest_file(path)


def test_a_fifo_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"Is a directory|regular file"):
        open_regular(tmp_path / "pipe")


def test_what_is_no_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_file(tmp_path / "none")
    with pytest.raises(OSError, match=r"Is a directory|regular file"):
        digest_file(tmp_path)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        digest_file(path)
        with pytest.raises(OSError, match=r"Is a directory|regular file"):
            digest_file(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
