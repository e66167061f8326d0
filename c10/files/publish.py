"""Atomic, durable publication of files.

A file is staged (written and fsynced as a temporary file in the same directory, with O_EXCL and an unpredictable
name), then committed (renamed over its path, directory fsynced). After a failed fsync the temporary file is removed,
not fsynced again: the kernel may have dropped the dirty pages and marked them clean.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c10.errors import PublishError
from c10.files.digest import CHUNK
from c10.files.naming import SUFFIXES
from c10.files.pieces import PIECE, PieceDigests, hashing_pieces, only_piece
from c10.files.remedies import to_write

TEMPORARY_SUFFIX: Final = ".tmp"
_TICK_NS: Final = 2_000_000_000  # FAT has the coarsest clock
_TEMPORARY: Final = re.compile(rf"\.(?P<owner>.+)\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}")


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A temporary file with its final content, synced to disk, that no reader opens."""

    path: Path
    """The path that ``commit`` gives the file."""
    temporary: Path
    """The path before ``commit``."""
    sha256: str
    """Of the content, in hex."""
    size: int
    """In bytes."""
    pieces: PieceDigests | None = None
    """Digests of the content's pieces; None if they were not computed."""

    def commit(self) -> None:
        """Rename over ``path`` and make the rename durable. A symlink at ``path`` is replaced, not followed."""
        with publishing(self.path):
            os.rename(self.temporary, self.path)  # noqa: PTH104 - the system call itself
            sync_directory(self.path.parent)


@contextmanager
def staged(path: Path, data: bytes | bytearray | memoryview) -> Iterator[StagedFile]:
    """Write ``data`` to a temporary file beside ``path``; remove it after the block unless it was committed.

    The bytes are hashed as they are written, without a copy; their pieces are hashed on another core.
    The mode follows the umask. Raises PublishError.
    """
    temporary, view = temporary_path(path), memoryview(data).cast("B")
    try:
        with publishing(path):
            make_directory(path.parent)
            sha256, pieces = _write_and_hash(temporary, view)
        yield StagedFile(path, temporary, sha256, view.nbytes, pieces)
    finally:
        with suppress(OSError):
            temporary.unlink()


def temporary_path(path: Path) -> Path:
    """Return an unpredictable path beside ``path`` that no reader opens; ``orphans`` finds it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def owner_of_temporary(name: str) -> str | None:
    """Return the final name of a temporary file; None if ``name`` is not from ``temporary_path``."""
    match = _TEMPORARY.fullmatch(name)
    return match["owner"] if match else None


def publish(path: Path, data: bytes | bytearray | memoryview) -> str:
    """Write ``data`` to ``path``, atomically and durably; return its SHA-256 in hex. Raises PublishError."""
    with staged(path, data) as file:
        file.commit()
        return file.sha256


def unpublish(path: Path) -> None:
    """Remove a file durably; do nothing if there is none. Raises PublishError."""
    with publishing(path), suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, and fsync each parent so that they survive a power cut. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the renames and removals in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SettledFolders:
    """The folders in which one run has made all renames durable. Make one for each run."""

    def __init__(self) -> None:
        self._synced: dict[Path, int] = {}  # each folder's mtime when it was synced, nanoseconds since the epoch

    def settle(self, directory: Path) -> None:
        """Fsync a directory whose entries another process may have renamed. Call before reporting an engine as reused.

        A build that was killed before its fsync, or has not reached it yet, leaves valid engines that a power cut
        would undo. Errors are ignored: a read-only directory cannot be synced.
        """
        with suppress(OSError):
            changed_ns, now_ns = directory.stat().st_mtime_ns, time.time_ns()
            if self._synced.get(directory) != changed_ns:
                sync_directory(directory)
                if abs(now_ns - changed_ns) > _TICK_NS:  # otherwise the next change may have the same mtime
                    self._synced[directory] = changed_ns


def orphans(directory: Path, name: str = "") -> list[Path]:
    """Return the temporary files and folders in a directory: those of the engine ``name``, or all if it is "".

    Call with the engine's lock held; any of them is then left over from a process that died.
    """
    try:
        entries = os.listdir(directory)  # noqa: PTH208 - names suffice, and a Path for each of a thousand engines is slow
    except FileNotFoundError:
        return []
    owned = ((entry, owner_of_temporary(entry)) for entry in sorted(entries))
    wanted = {f"{name}{suffix}" for suffix in SUFFIXES}
    return [directory / entry for entry, owner in owned if owner is not None and (not name or owner in wanted)]


def remove_orphans(directory: Path, name: str) -> None:
    """Remove the files that ``orphans`` finds. Errors are ignored, as no reader opens these files."""
    found: list[Path] = []
    with suppress(OSError):
        found = orphans(directory, name)
    for orphan in found:
        with suppress(OSError):
            remove_temporary(orphan)


def remove_temporary(path: Path) -> None:
    """Remove a temporary file, or a folder of ``staging`` with all that is in it; nothing may be there. Raises OSError.

    A symlink is removed and not followed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_and_hash(temporary: Path, view: memoryview) -> tuple[str, PieceDigests]:
    if view.nbytes <= PIECE:
        sha256 = _write(temporary, view)
        return sha256, only_piece(view.nbytes, sha256)
    with hashing_pieces(view) as pieces:
        sha256 = _write(temporary, view)
        return sha256, PieceDigests(PIECE, tuple(piece.result() for piece in pieces))


def _write(temporary: Path, view: memoryview) -> str:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666)
    sha256 = hashlib.sha256()
    try:
        for start in range(0, view.nbytes, CHUNK):
            chunk = view[start : start + CHUNK]
            sha256.update(chunk)
            while chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
        os.fsync(descriptor)
        # Some file systems report success for a write that they lost: compare the size.
        if (size := os.fstat(descriptor).st_size) != view.nbytes:
            raise OSError(errno.EIO, f"expected {view.nbytes} bytes on disk, got {size}")
    finally:
        os.close(descriptor)
    return sha256.hexdigest()


@contextmanager
def publishing(path: Path, what: str = "publish the file") -> Iterator[None]:
    """Turn an OSError in the block into a PublishError with a remedy."""
    try:
        yield
    except OSError as error:
        raise PublishError(
            f"{path}: write: expected to {what}, got {error.strerror or error}", remedy=to_write(error)
        ) from error
