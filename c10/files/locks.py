"""Locks between processes: one an engine, one a GPU. May import errors, publish and remedies.

A lock is the kernel's (flock): it goes with its holder, however that ends. The compiling child inherits it,
so that an engine stays locked for as long as anybody is alive who might still write it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from c10.errors import PublishError
from c10.files.publish import make_directory
from c10.files.remedies import to_write

LOCKS_DIRECTORY: Final = ".locks"


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that is held: its descriptor, for a child to inherit, and whether it had to be waited for."""

    descriptor: int
    waited: bool


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[HeldLock]:
    """Hold the lock at ``path`` for the block; call ``on_wait`` once where another process holds it.

    Raises PublishError where the lock file cannot be made.
    """
    from portalocker import AlreadyLocked, LockException, LockFlags, lock  # a warm run takes no lock

    try:
        file = open_lock_file(path)
    except OSError as error:
        raise PublishError(
            f"{path}: lock: expected to create the lock file, got {error.strerror or error}",
            remedy=to_write(error, "Make cache_root writable, or set it elsewhere."),
        ) from error
    waited = False
    try:
        try:
            lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except AlreadyLocked:
            waited = True
            on_wait()
            lock(file, LockFlags.EXCLUSIVE)
        except LockException as error:
            raise PublishError(
                f"{path}: lock: expected a file system with flock, got {error}",
                remedy="Set cache_root to a local file system.",
            ) from error
        _refuse_removed(path, file)
        yield HeldLock(file.fileno(), waited)
    finally:
        with suppress(OSError):  # nothing was written, and Linux closes the file also where it says that it could not
            fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile would keep it held
        with suppress(OSError):
            file.close()


def _refuse_removed(path: Path, file: IO[bytes]) -> None:
    """Raise PublishError where the lock file is no longer the one at its path: its lock keeps nobody away."""
    try:
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return
    except OSError:
        pass
    raise PublishError(
        f"{path}: lock: expected the lock file to stay where it is, got it removed meanwhile",
        remedy="Leave that directory alone while engines are built, and run `doit engines` again.",
    )


def open_lock_file(path: Path) -> IO[bytes]:
    """Open the lock file, made where it is missing; nothing is ever written to it.

    A symlink planted there is not followed, and a FIFO does not hang the run. Raises OSError.
    """
    make_directory(path.parent)
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: expected a regular file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path
