"""Moves damaged engines to a quarantine, all files of an engine together, without deleting or replacing any file."""

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
    """A directory for damaged engines. Each run that moves engines creates a folder there, named by the time (UTC)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder: Path | None = None

    def take(self, stored: StoredEngine) -> Path | None:
        """Move an engine's files and return the folder; None if it is no longer damaged, or is being built.

        A file is removed only after its copy in the quarantine is durable. Raises C10Error.
        """
        with reserved(stored.engine_path) as free:
            if not free or state_of(check_bytes(stored.engine_path)) != "damaged":
                return None
            try:
                return self._move(stored)
            except OSError as error:
                raise C10Error(
                    f"{self._directory}: expected to move {stored.engine_path.name} there, got {error}",
                    remedy="Files that were not moved are still in place. Name a writable directory with more room.",
                ) from error

    def _move(self, stored: StoredEngine) -> Path:
        folder = self._folder
        if folder is None or any(os.path.lexists(folder / path.name) for path in stored.files):
            folder = self._folder = _fresh_folder(self._directory)  # two directories may hold engines of one name
        for path in reversed(stored.files):  # the record first: the remaining files then cannot pass as an engine
            move_durably(path, folder / path.name)
        return folder


def move_durably(source: Path, destination: Path) -> None:
    """Rename a file, or, to another file system, copy it, sync it and remove the original. Raises OSError."""
    try:
        os.rename(source, destination)  # noqa: PTH104 - the system call itself
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
