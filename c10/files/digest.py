"""SHA-256 of files, and the signature that tells whether a file changed since. May import nothing of c10."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from pathlib import Path
from typing import Final, NamedTuple

CHUNK: Final = 1 << 20  # bytes; larger buffers measured no faster and cost memory
#: A file changed within this time before it was read may change again under the same time stamp (the kernel's
#: clock ticks in milliseconds, some file systems' in seconds): git calls such an entry racily clean.
_RACY_NS: Final = 2_000_000_000
HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class FileSignature(NamedTuple):
    """What stat says of a file's content: equal signatures, same bytes, where the file was ``rested``.

    ctime_ns is in it because mtime can be set back and ctime cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileSignature:
        """Return the signature out of a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    @property
    def changed_at_ns(self) -> int:
        """The latest moment at which content or metadata changed, nanoseconds since the epoch."""
        return max(self.mtime_ns, self.ctime_ns)

    def rested(self, now_ns: int) -> bool:
        """Whether the last change is so far back that any later one shows in the signature.

        ``now_ns`` is the time before the file was read, in nanoseconds since the epoch.
        """
        return now_ns - self.changed_at_ns > _RACY_NS


class FileDigest(NamedTuple):
    """A file's SHA-256 in hex, and the signature that it had while it was read.

    ``lasting`` says that the digest is that of any file with this signature, not only of this one read.
    """

    sha256: str
    signature: FileSignature
    lasting: bool = True


class ChangedWhileReadError(OSError):
    """A file was written to while it was hashed: no digest of it would mean anything."""


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return the descriptor.

    O_NONBLOCK, so that a FIFO planted at the path is refused and does not hang the run.
    Raises OSError, also where the path is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number, kind = (errno.EISDIR, "Is a directory") if stat.S_ISDIR(mode) else (errno.EINVAL, "Is no file")
        raise OSError(number, f"{kind}: expected a regular file", str(path))
    return descriptor


def read_regular(path: Path, most: int) -> bytes:
    """Return what a regular file holds, and of a longer one than ``most`` bytes one byte more than that.

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


def digest_file(path: Path) -> FileDigest:
    """Read and hash every byte of a regular file, in constant memory.

    Raises OSError (ChangedWhileReadError where the file changed under the read).
    """
    descriptor = open_regular(path)
    try:
        started_ns = time.time_ns()
        before = FileSignature.of(os.fstat(descriptor))
        sha256 = hashlib.sha256()
        buffer = bytearray(min(CHUNK, max(before.size, 1)))
        view = memoryview(buffer)
        while count := os.readv(descriptor, [buffer]):
            sha256.update(view[:count])
        after = FileSignature.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if before != after:
        raise ChangedWhileReadError(f"{path}: changed while it was read")
    return FileDigest(sha256.hexdigest(), after, after.rested(started_ns))
