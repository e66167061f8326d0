"""Is somebody building this engine now? Asked without waiting. May import digest, errors and locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from c10.errors import PublishError
from c10.files.digest import open_regular
from c10.files.locks import LOCKS_DIRECTORY, open_lock_file


def is_busy(engine_path: Path) -> bool:
    """Whether its lock is held; also where that cannot be found out. Writes nothing."""
    from portalocker import LockException, LockFlags, lock  # only where something is amiss is this asked

    try:
        descriptor = open_regular(_lock_path(engine_path))
    except (FileNotFoundError, NotADirectoryError):
        return False  # nobody ever built it here
    except OSError:
        return True
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        try:
            lock(file, LockFlags.SHARED | LockFlags.NON_BLOCKING)
        except LockException:
            return True
    return False


@contextmanager
def reserved(engine_path: Path) -> Iterator[bool]:
    """Keep builders away from an engine for the block; yield False where one is at work. Raises PublishError."""
    from portalocker import LockException, LockFlags, lock

    path = _lock_path(engine_path)
    try:
        file = open_lock_file(path)
    except OSError as error:
        raise PublishError(
            f"{path}: lock: expected to create the lock file, got {error.strerror or error}",
            remedy="Make that directory writable; nothing was moved or deleted.",
        ) from error
    with file:
        try:
            lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except LockException:
            yield False
            return
        yield True


def _lock_path(engine_path: Path) -> Path:
    return engine_path.parent / LOCKS_DIRECTORY / f"{engine_path.name}.lock"
