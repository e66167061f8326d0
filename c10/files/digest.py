"""SHA-256 of files, and the stamp by which a later change is noticed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

CHUNK: Final = 1 << 20  # bytes; larger buffers measured no faster and cost memory
#: A file changed within this time before it was read may change again under the same time stamp (the kernel's
#: clock ticks in milliseconds, some file systems' in seconds): git calls such an entry racily clean.
_RACY_NS: Final = 2_000_000_000
HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class FileStamp(NamedTuple):
    """What stat says about a file. Equal stamps mean equal bytes only if the file was ``at_rest`` when it was read.

    ctime_ns is included because a program can set mtime back, and not ctime.
    """

    size: int
    """In bytes."""
    mtime_ns: int
    """Last change of the content, nanoseconds since the epoch."""
    ctime_ns: int
    """Last change of content or metadata, nanoseconds since the epoch."""
    inode: int
    """The file's number in its file system; a file renamed over the path has another."""

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Return the stamp that a stat result contains."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    @property
    def changed_at_ns(self) -> int:
        """The latest moment at which content or metadata changed, nanoseconds since the epoch."""
        return max(self.mtime_ns, self.ctime_ns)

    def at_rest(self, now_ns: int) -> bool:
        """Whether the last change is long enough ago that any later change gives another stamp.

        ``now_ns``: the time before the file was read, nanoseconds since the epoch.
        """
        return now_ns - self.changed_at_ns > _RACY_NS


class FileDigest(NamedTuple):
    """A file's digest and stamp. Check ``is_of`` before using a digest a second time."""

    sha256: str
    """Of the file's bytes, in hex."""
    stamp: FileStamp
    """The file's stamp while it was read."""
    reusable_later: bool
    """The file had been unchanged for 2 s, so an equal stamp later means equal bytes. If false, use the digest once."""

    def is_of(self, stamp: FileStamp) -> bool:
        """Whether a file at the same path that has this stamp now still has this digest."""
        return self.reusable_later and self.stamp == stamp


class ChangedWhileReadError(OSError):
    """A file was written to while it was hashed, so the digest belongs to no state of the file."""


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return the descriptor.

    O_NONBLOCK, so that a FIFO planted at the path is refused and does not hang the run.
    Raises OSError, also if the path is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number, kind = (errno.EISDIR, "Is a directory") if stat.S_ISDIR(mode) else (errno.EINVAL, "Is a special file")
        raise OSError(number, f"{kind}: expected a regular file", str(path))
    return descriptor


def read_regular(path: Path, most: int) -> bytes:
    """Return a regular file's content; if it is longer than ``most`` bytes, only its first ``most`` + 1 bytes.

    Raises OSError.
    """
    descriptor = open_regular(path)
    try:
        wanted = min(os.fstat(descriptor).st_size, most) + 1
        content = os.read(descriptor, wanted)
        while (missing := wanted - len(content)) and (more := os.read(descriptor, missing)):
            content += more
    finally:
        os.close(descriptor)
    return content


def digest_file(path: Path, clock: Callable[[], int] = time.time_ns) -> FileDigest:
    """Read and hash every byte of a regular file, in constant memory.

    ``clock`` returns nanoseconds since the epoch; tests pass their own.
    Raises OSError (ChangedWhileReadError if the file changed while it was read).
    """
    descriptor = open_regular(path)
    try:
        started_ns = clock()
        before = FileStamp.of(os.fstat(descriptor))
        sha256 = hashlib.sha256()
        buffer = bytearray(min(CHUNK, max(before.size, 1)))
        view = memoryview(buffer)
        while count := os.readv(descriptor, [buffer]):
            sha256.update(view[:count])
        after = FileStamp.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if before != after:
        raise ChangedWhileReadError(f"{path}: changed while it was read")
    return FileDigest(sha256.hexdigest(), after, after.at_rest(started_ns))
