"""What to do about an error of the file system.

The words stand in the second line of a message, behind one that says where and what: see ``errors``.
"""

from __future__ import annotations

import errno
from typing import Final

_WRITING: Final = {
    errno.ENOSPC: "Free space on that file system, or set cache_root to another one.",
    errno.EDQUOT: "Free space within your quota, or set cache_root elsewhere.",
    errno.EROFS: "The file system is mounted read-only: mount it writable, or set cache_root elsewhere.",
    errno.EACCES: "Give this user the right to write there, or set cache_root elsewhere.",
    errno.EPERM: "Give this user the right to write there, or set cache_root elsewhere.",
    errno.ENOTDIR: "A file stands where a directory has to be: move it away, or set cache_root elsewhere.",
    errno.EFBIG: "The file is larger than the file system or `ulimit -f` allows.",
    errno.EIO: "The disk reported an error: see `dmesg`; do not trust this disk.",
}
_READING: Final = {
    errno.EACCES: "Give this user the right to read it, and to search the directories above it.",
    errno.EISDIR: "A directory stands where a file has to be.",
    errno.ELOOP: "Its symbolic links lead in a circle: put the file itself there.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n",
    errno.EIO: _WRITING[errno.EIO],
}


def to_write(error: OSError, otherwise: str = "Nothing was published; what was at that path is untouched.") -> str:
    """Return what to do about a file of the cache that could not be written."""
    return _WRITING.get(error.errno or 0, otherwise)


def to_read(error: OSError, otherwise: str) -> str:
    """Return what to do about a file that could not be read; ``otherwise`` also where there is none."""
    return _READING.get(error.errno or 0, otherwise)
