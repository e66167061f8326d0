"""Atomic, durable publication of files.

A file is staged (temporary file in its own directory, O_EXCL, unpredictable name, written, fsynced), then
committed (renamed over its path, directory fsynced). After a failed fsync the temporary file is thrown away
and never retried: the kernel may have dropped the dirty pages and marked them clean.
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
_TICK_NS: Final = 2_000_000_000  # FAT's clock, the coarsest
#: When each directory had last changed that this process has synced, nanoseconds since the epoch.
_SETTLED: Final[dict[Path, int]] = {}
_TEMPORARY: Final = re.compile(rf"\.(?P<owner>.+)\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}")


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A temporary file with its final content, on disk, under a name that nobody looks for.

    ``size`` is in bytes; ``pieces`` are the digests of its pieces, None where they were not computed.
    """

    path: Path
    temporary: Path
    sha256: str
    size: int
    pieces: PieceDigests | None = None

    def commit(self) -> None:
        """Rename over ``path`` and make the rename durable. A symlink at ``path`` is replaced, not followed."""
        with publishing(self.path):
            os.rename(self.temporary, self.path)  # noqa: PTH104 - the system call that is meant
            sync_directory(self.path.parent)


@contextmanager
def staged(path: Path, data: bytes | bytearray | memoryview) -> Iterator[StagedFile]:
    """Write ``data`` beside ``path``; what is not committed when the block ends is removed.

    The bytes are hashed as they are written, their pieces at the same time on another core, and never copied.
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
    """Return an unpredictable name beside ``path`` that nobody looks for; see ``orphans``."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")


def owner_of_temporary(name: str) -> str | None:
    """Return the name that a temporary file was to get; None where it is no file of ``temporary_path``."""
    match = _TEMPORARY.fullmatch(name)
    return match["owner"] if match else None


def publish(path: Path, data: bytes | bytearray | memoryview) -> str:
    """Put ``data`` at ``path``, atomically and durably; return its SHA-256. Raises PublishError."""
    with staged(path, data) as file:
        file.commit()
        return file.sha256


def unpublish(path: Path) -> None:
    """Remove a file that may be there, durably. Raises PublishError."""
    with publishing(path), suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Create a directory and its parents; a fresh one survives a power cut only once its parent is fsynced."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_renames(directory: Path) -> None:
    """Make durable what others renamed or removed in a directory: asked before what lies there is called reused.

    A build that was killed before it synced, or is about to, leaves engines that are right and that a power cut
    takes back. What cannot be synced (mounted read-only) stays as it is.
    """
    with suppress(OSError):
        changed_ns, now_ns = directory.stat().st_mtime_ns, time.time_ns()
        if _SETTLED.get(directory) != changed_ns:
            sync_directory(directory)
            if abs(now_ns - changed_ns) > _TICK_NS:  # else the next change may have the same time
                _SETTLED[directory] = changed_ns


def orphans(directory: Path, name: str = "") -> list[Path]:
    """Return temporary files that publishing ``name`` (or anything) left in a directory.

    While the engine's lock is held nobody publishes it: what lies there then is of a dead process.
    """
    try:
        entries = os.listdir(directory)  # noqa: PTH208 - of a thousand engines: names, and a path where one is wanted
    except FileNotFoundError:
        return []
    owned = ((entry, owner_of_temporary(entry)) for entry in sorted(entries))
    wanted = {f"{name}{suffix}" for suffix in SUFFIXES}
    return [directory / entry for entry, owner in owned if owner is not None and (not name or owner in wanted)]


def remove_orphans(directory: Path, name: str) -> None:
    """Remove what ``orphans`` finds; what cannot be removed stays, and does no harm."""
    found: list[Path] = []
    with suppress(OSError):
        found = orphans(directory, name)
    for orphan in found:
        with suppress(OSError):
            if orphan.is_dir() and not orphan.is_symlink():
                shutil.rmtree(orphan, ignore_errors=True)
            else:
                orphan.unlink()


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
        # A file system that says "written" and did not write is met in the field: the size gives it away.
        if (size := os.fstat(descriptor).st_size) != view.nbytes:
            raise OSError(errno.EIO, f"expected {view.nbytes} bytes on disk, got {size}")
    finally:
        os.close(descriptor)
    return sha256.hexdigest()


@contextmanager
def publishing(path: Path, what: str = "publish the file") -> Iterator[None]:
    """Raise PublishError, with what to do, for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise PublishError(
            f"{path}: write: expected to {what}, got {error.strerror or error}", remedy=to_write(error)
        ) from error
