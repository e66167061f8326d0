"""Locks between processes: one for each engine, one for each GPU.

A lock is the kernel's (flock): it goes with its holder, however that ends. The compiling child inherits it,
so that an engine stays locked for as long as anybody is alive who might still write it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from c10.errors import PublishError
from c10.files.digest import open_regular
from c10.files.publish import make_directory
from c10.files.remedies import to_write

LOCKS_DIRECTORY: Final = ".locks"


def lock_path(engine_path: Path) -> Path:
    """Return the path of an engine's lock file; it stays when the lock is given back."""
    return engine_path.parent / LOCKS_DIRECTORY / f"{engine_path.name}.lock"


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock at ``path`` for the block; call ``on_wait`` once where another process holds it.

    Yields the descriptor, for a child to inherit. Raises PublishError where the lock file cannot be made.
    """
    with _lock_file(path) as file:
        if not _taken(path, file, wait=False):
            on_wait()
            _taken(path, file, wait=True)
        _refuse_removed(path, file)
        yield file.fileno()


@contextmanager
def reserved(engine_path: Path) -> Iterator[bool]:
    """Keep builders away from an engine for the block; yield False, at once, where one is at work.

    Raises PublishError where that cannot be told.
    """
    path = lock_path(engine_path)
    with _lock_file(path) as file:
        free = _taken(path, file, wait=False)
        if free:
            _refuse_removed(path, file)
        yield free


def is_held(engine_path: Path) -> bool:
    """Whether somebody is building this engine now. Writes nothing, so it is for reports: to change files, reserve.

    False also where that cannot be told: a lock file that nobody may open would else be a build that never ends.
    """
    from portalocker import AlreadyLocked, LockException, LockFlags, lock  # only where something is amiss is it asked

    try:
        descriptor = open_regular(lock_path(engine_path))
    except OSError:
        return False
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        try:
            lock(file, LockFlags.SHARED | LockFlags.NON_BLOCKING)
        except AlreadyLocked:
            return True
        except LockException:
            return False
    return False


def _taken(path: Path, file: IO[bytes], *, wait: bool) -> bool:
    """Take the lock; return False where another process holds it and it is not to be waited for."""
    from portalocker import AlreadyLocked, LockException, LockFlags, lock  # a warm run takes no lock

    try:
        lock(file, LockFlags.EXCLUSIVE if wait else LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
    except AlreadyLocked:
        return False
    except LockException as error:
        raise PublishError(
            f"{path}: lock: expected a file system with flock, got {error}",
            remedy="Set cache_root to a local file system.",
        ) from error
    return True


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


@contextmanager
def _lock_file(path: Path) -> Iterator[IO[bytes]]:
    """Open the lock file for the block, made where it is missing; nothing is ever written to it."""
    try:
        make_directory(path.parent)
        file = open(_opened(path), "rb")  # noqa: SIM115 - a descriptor; closed below, whatever close says
    except OSError as error:
        raise PublishError(
            f"{path}: lock: expected to create the lock file, got {error.strerror or error}",
            remedy=to_write(error, "Make cache_root writable, or set it elsewhere."),
        ) from error
    try:
        yield file
    finally:
        with suppress(OSError):  # nothing was written, and Linux closes the file also where it says that it could not
            fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile would keep it held
        with suppress(OSError):
            file.close()


def _opened(path: Path) -> int:
    """Open a lock file. A symlink planted there is not followed, and a FIFO does not hang the run. Raises OSError."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # For writing: over NFS an exclusive flock is a POSIX lock, which asks for it (flock(2)).
        descriptor = os.open(path, flags | os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:  # another user's lock file in a directory that is shared, or one on a read-only mount
        if error.errno not in {errno.EACCES, errno.EROFS}:
            raise
        descriptor = _opened_as_it_is(path, flags, error)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: expected a regular file")
    return descriptor


def _opened_as_it_is(path: Path, flags: int, error: OSError) -> int:
    """Open a lock file that is there. Linux refuses O_CREAT for another user's file in a sticky directory.

    Raises ``error`` where that cannot be done either. Source: fs.protected_regular in proc_sys_fs(5).
    """
    for access in (os.O_RDWR, os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, flags | access)
    raise error
