"""A private folder in which a runtime publishes an engine, and the way from there to the engine's own path.

The folder lies beside the engine, so on the same file system, and has a temporary file's name, so that ``orphans``
finds it after a crash. Until ``commit`` the older engine is untouched: whatever is checked before may still fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from c10.errors import C10Error
from c10.files.digest import open_regular
from c10.files.naming import EnginePaths
from c10.files.publish import make_directory, publishing, staged, sync_directory, temporary_path, unpublish

_MODE: Final = 0o700  # nobody else puts an engine there, or reads one that may yet be refused


@contextmanager
def staging(engine_path: Path) -> Iterator[EnginePaths]:
    """Make an empty folder and yield the paths of the engine in it, under its own file name; remove it afterwards.

    Call with the engine's lock held. Raises PublishError if the folder cannot be made. In a C10Error that leaves the
    block, the paths in the folder become those that the user knows.
    """
    folder = temporary_path(engine_path)
    try:
        with publishing(engine_path):
            make_directory(engine_path.parent)
            folder.mkdir(_MODE)
        yield EnginePaths.of(folder / engine_path.name)
    except C10Error as error:
        error.message, error.remedy = (
            text.replace(f"{folder}{os.sep}", f"{engine_path.parent}{os.sep}") for text in (error.message, error.remedy)
        )
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(made: EnginePaths, paths: EnginePaths, record: bytes, envelope: bytes | None) -> None:
    """Publish an engine that lies at ``made``, with its record and envelope, at ``paths``; both on one file system.

    Everything is on disk before the first rename, so a full disk leaves the older files whole. The order of the
    renames, each made durable before the next: engine, sidecar, record, envelope. ``envelope`` None removes the older
    engine's. A crash between two renames leaves files that disagree, which are not reused. Raises PublishError.
    """
    with ExitStack() as stack:
        record_file = stack.enter_context(staged(paths.record, record))
        envelope_file = None if envelope is None else stack.enter_context(staged(paths.envelope, envelope))
        files = ((made.engine, paths.engine), (made.sidecar, paths.sidecar))
        for source, path in files:
            _sync(source, path)
        for source, path in files:
            _move(source, path)
        record_file.commit()
        if envelope_file is None:
            unpublish(paths.envelope)
        else:
            envelope_file.commit()


def _sync(source: Path, path: Path) -> None:
    """Make the bytes of a file durable: a runtime may have written them without ``Sha256Sidecar``."""
    with publishing(path):
        descriptor = open_regular(source)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move(source: Path, path: Path) -> None:
    with publishing(path):
        os.rename(source, path)  # noqa: PTH104 - the system call itself
        sync_directory(path.parent)
