"""Sets damaged engines aside: all files of one together, never deleted, never onto another file."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

from c10.cache.inventory import StoredEngine, state_of
from c10.errors import C10Error
from c10.files.locks import reserved
from c10.files.publish import make_directory, sync_directory
from c10.proof.verdict import check_bytes


class Quarantine:
    """A directory for damaged engines; each run that moves one makes a folder of its own, named by the time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder: Path | None = None

    def take(self, stored: StoredEngine) -> Path | None:
        """Move an engine's files and return the folder; None where it is no longer damaged, or being built.

        Raises C10Error; a file is removed only once it lies durably in the quarantine.
        """
        with reserved(stored.engine_path) as free:
            if not free or state_of(check_bytes(stored.engine_path)) != "damaged":
                return None
            try:
                return self._move(stored)
            except OSError as error:
                raise C10Error(
                    f"{self._directory}: expected to move {stored.engine_path.name} there, got {error}",
                    remedy="What was not moved is where it was. Name a directory with room that can be written.",
                ) from error

    def _move(self, stored: StoredEngine) -> Path:
        folder = self._folder
        if folder is None or any(os.path.lexists(folder / path.name) for path in stored.files):
            folder = self._folder = _fresh_folder(self._directory)  # two directories may hold engines of one name
        for path in reversed(stored.files):  # the record first: what is left of it is never taken for an engine
            move_durably(path, folder / path.name)
        return folder


def move_durably(source: Path, destination: Path) -> None:
    """Rename, or where that leaves the file system copy, sync and then remove. Raises OSError."""
    try:
        os.rename(source, destination)  # noqa: PTH104 - the system call that is meant
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, destination)
        source.unlink()
    sync_directory(destination.parent)
    sync_directory(source.parent)


def _copy(source: Path, destination: Path) -> None:
    try:
        shutil.copy2(source, destination)
        descriptor = os.open(destination, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(destination.parent)
    except OSError:
        destination.unlink(missing_ok=True)
        raise


def _fresh_folder(directory: Path) -> Path:
    make_directory(directory)
    name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    for attempt in range(1, 1000):
        folder = directory / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        sync_directory(directory)
        return folder
    raise OSError(errno.EEXIST, f"{directory}: expected a free name for {name}")
