"""Remedies for file system errors: the second line of a message, as described in ``c10.errors``."""

from __future__ import annotations

import errno
from typing import Final

_WRITING: Final = {
    errno.ENOSPC: "Free space on that file system, or set cache_root to another one.",
    errno.EDQUOT: "Free space within your quota, or set cache_root elsewhere.",
    errno.EROFS: "The file system is mounted read-only: mount it writable, or set cache_root elsewhere.",
    errno.EACCES: "Give this user the right to write there, or set cache_root elsewhere.",
    errno.EPERM: "Give this user the right to write there, or set cache_root elsewhere.",
    errno.ENOTDIR: "A part of the path is a file and not a directory: move the file away, or set cache_root elsewhere.",
    errno.EFBIG: "The file is larger than the file system or `ulimit -f` allows.",
    errno.EIO: "The disk reported an error: see `dmesg`; do not trust this disk.",
}
_READING: Final = {
    errno.EACCES: "Give this user the right to read it, and to search the directories above it.",
    errno.EISDIR: "The path is a directory: correct the path, or move the directory away.",
    errno.ELOOP: "Its symbolic links form a loop: replace them with the file itself.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n",
    errno.EIO: _WRITING[errno.EIO],
}


def to_write(error: OSError, otherwise: str = "What was at that path is untouched.") -> str:
    """Return the remedy for a file of the cache that could not be written; ``otherwise`` for an unlisted error."""
    return _WRITING.get(error.errno or 0, otherwise)


def to_read(error: OSError, otherwise: str) -> str:
    """Return the remedy for a file that could not be read; ``otherwise`` for an unlisted error."""
    return _READING.get(error.errno or 0, otherwise)
