"""Locks between processes: one for each engine, one for each GPU.

The kernel (flock) releases a lock when its holder ends, however it ends. The compiling child inherits the lock, so
an engine stays locked while any process that might still write it is alive.
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
    """Return the path of an engine's lock file; the file is not removed when the lock is released."""
    return engine_path.parent / LOCKS_DIRECTORY / f"{engine_path.name}.lock"


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock at ``path`` for the block; call ``on_wait`` once if another process holds it.

    Yields the descriptor, for a child to inherit. Raises PublishError if the lock file cannot be created.
    """
    with _lock_file(path) as file:
        if not _taken(path, file, wait=False):
            on_wait()
            _taken(path, file, wait=True)
        _refuse_removed(path, file)
        yield file.fileno()


@contextmanager
def reserved(engine_path: Path) -> Iterator[bool]:
    """Try to lock an engine for the block, without waiting; yield whether the lock was free and is now held.

    Raises PublishError if the lock cannot be tried.
    """
    path = lock_path(engine_path)
    with _lock_file(path) as file:
        free = _taken(path, file, wait=False)
        if free:
            _refuse_removed(path, file)
        yield free


def is_held(engine_path: Path) -> bool:
    """Whether a process is building this engine. Writes nothing. For reports only: to change files, use ``reserved``.

    Returns False if the lock file cannot be opened; otherwise an unreadable lock would look like an endless build.
    """
    from portalocker import AlreadyLocked, LockException, LockFlags, lock  # needed only for a faulty engine

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
    """Take the lock; return False if another process holds it and ``wait`` is false."""
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
    """Raise PublishError if the lock file was removed from its path: other processes would not see the lock."""
    try:
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return
    except OSError:
        pass
    raise PublishError(
        f"{path}: lock: expected the lock file to stay in place, but it was removed or replaced",
        remedy="Leave that directory alone while engines are built, and run `doit engines` again.",
    )


@contextmanager
def _lock_file(path: Path) -> Iterator[IO[bytes]]:
    """Open the lock file for the block and create it if it is missing. Nothing is written to it."""
    try:
        make_directory(path.parent)
        file = open(_opened(path), "rb")  # noqa: SIM115 - closed below, where an error of close is ignored
    except OSError as error:
        raise PublishError(
            f"{path}: lock: expected to create the lock file, got {error.strerror or error}",
            remedy=to_write(error, "Make cache_root writable, or set it elsewhere."),
        ) from error
    try:
        yield file
    finally:
        with suppress(OSError):  # nothing was written, and Linux closes the file even if close fails
            fcntl.flock(file, fcntl.LOCK_UN)  # closing alone leaves it held by a process forked in the block
        with suppress(OSError):
            file.close()


def _opened(path: Path) -> int:
    """Open a lock file. A symlink is not followed, and opening a FIFO does not block. Raises OSError."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # For writing: over NFS an exclusive flock is a POSIX lock, which asks for it (flock(2)).
        descriptor = os.open(path, flags | os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:  # another user's lock file in a shared directory, or a read-only mount
        if error.errno not in {errno.EACCES, errno.EROFS}:
            raise
        descriptor = _opened_as_it_is(path, flags, error)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: expected a regular file")
    return descriptor


def _opened_as_it_is(path: Path, flags: int, error: OSError) -> int:
    """Open an existing lock file. Linux refuses O_CREAT for another user's file in a sticky directory.

    Raises ``error`` if this fails too. Source: fs.protected_regular in proc_sys_fs(5).
    """
    for access in (os.O_RDWR, os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, flags | access)
    raise error
