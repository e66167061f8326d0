"""A file system whose clock does not tick while a test writes: each file has one time, whatever is written to it."""

from __future__ import annotations

import os

import pytest

from c10.files.digest import FileStamp

TICK_NS = 1_700_000_000_000_000_000


def stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stat say the same of a file however often it is rewritten in place at the same size."""

    def of(cls: type[FileStamp], status: os.stat_result) -> FileStamp:
        return cls(status.st_size, TICK_NS, TICK_NS, status.st_ino)

    monkeypatch.setattr(FileStamp, "of", classmethod(of))


def just_after() -> int:
    """Return the time a millisecond after all files were written."""
    return TICK_NS + 1_000_000


def long_after() -> int:
    """Return a time at which all files are at rest."""
    return TICK_NS + 10_000_000_000
