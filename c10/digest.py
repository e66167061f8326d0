"""SHA-256 of files, and the signature that tells whether a file changed since. May import nothing of c10."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

CHUNK: Final = 1 << 20  # bytes; larger buffers measured no faster and cost memory
HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class FileSignature(NamedTuple):
    """What stat says of a file's content: equal signatures, same bytes.

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


class FileDigest(NamedTuple):
    """A file's SHA-256 in hex, and the signature that it had while it was read."""

    sha256: str
    signature: FileSignature


class ChangedWhileReadError(OSError):
    """A file was written to while it was hashed: no digest of it would mean anything."""


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return the descriptor.

    O_NONBLOCK, so that a FIFO planted at the path is refused and does not hang the run.
    Raises OSError, also where the path is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: expected a regular file")
    return descriptor


def digest_file(path: Path) -> FileDigest:
    """Read and hash every byte of a regular file, in constant memory.

    Raises OSError (ChangedWhileReadError where the file changed under the read).
    """
    descriptor = open_regular(path)
    try:
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
    return FileDigest(sha256.hexdigest(), after)
