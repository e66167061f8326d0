"""The lock of a GPU. Two builders that tune on one device at once would measure each other's load.

There is one lock for each device and user, whatever the project and its cache_root. Its folder follows from the user
id alone, so a login, a service and a cron job of one user share it. $XDG_RUNTIME_DIR exists for logins only; a
service's home may be missing, hidden, read-only or shared by several machines; files in /dev/shm are removed when their
owner logs out. /var/tmp exists without a login, and /tmp is writable where /var/tmp is missing or read-only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from c10.errors import ConfigError, PublishError
from c10.files.locks import held
from c10.host.cuda import ask_device_identity

LOCK_DIR_VARIABLE: Final = "C10_LOCK_DIR"
_PARENTS: Final = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - the folder in it is checked before it is used
_OWN_MODE: Final = 0o700
_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EROFS})


@contextmanager
def device_held(on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the GPU's lock for the block; call ``on_wait`` once where another process holds it.

    Raises PublishError where the lock's folder is not safe or the lock file cannot be made, and ConfigError for a
    ``C10_LOCK_DIR`` that is no absolute path.
    """
    path = device_lock()
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(held(path, on_wait))
        except PublishError as error:
            error.remedy = error.remedy.replace("cache_root", LOCK_DIR_VARIABLE)
            raise
        with suppress(OSError):  # another user's file
            os.utime(descriptor)  # systemd-tmpfiles removes from /var/tmp what is a month old, held or not
            if os.environ.get(LOCK_DIR_VARIABLE):
                os.fchmod(descriptor, 0o666)  # whatever this user's umask: the folder says who may come in
        yield


def device_lock() -> Path:
    """Return the path of the lock of the first visible GPU, in a folder that is there and safe.

    Raises PublishError and ConfigError.
    """
    name = _device(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
    named = os.environ.get(LOCK_DIR_VARIABLE)
    folder = _named_folder(Path(named)) if named else _own_folder()
    return folder / f"gpu-{''.join(c if c.isalnum() else '-' for c in name)}.lock"


@lru_cache(maxsize=8)
def _device(visible: str | None, order: str | None) -> str:  # noqa: ARG001 - CUDA numbers the devices by it
    """Return what identifies the first visible GPU; its place in CUDA_VISIBLE_DEVICES where CUDA cannot be asked."""
    return ask_device_identity() or (visible or "").split(",")[0].strip() or "0"


def _named_folder(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ConfigError(
            f"{LOCK_DIR_VARIABLE}: expected an absolute path, got '{folder}'",
            remedy="A relative one is another folder, and so another lock, in each working directory.",
        )
    if not os.path.isdir(folder):  # noqa: PTH112 - pathlib's raises where a parent may not be searched
        raise PublishError(
            f"{LOCK_DIR_VARIABLE}: lock: expected a directory, got '{folder}'",
            remedy=f"Make it, for the group that tunes on this machine: install -d -m 2770 -g GROUP {folder}",
        )
    return folder


def _own_folder() -> Path:
    """Return this user's folder for locks, made where it is missing and checked either way."""
    for parent in _PARENTS:
        folder = parent / f"c10-{os.geteuid()}"
        try:
            with suppress(FileExistsError):
                folder.mkdir(_OWN_MODE)
            status = folder.lstat()
        except OSError as error:
            if error.errno in _MISSING:
                continue
            raise PublishError(
                f"{folder}: lock: expected to create the directory, got {error.strerror or error}",
                remedy=f"Set {LOCK_DIR_VARIABLE} to a directory of this user.",
            ) from error
        _refuse_unsafe(folder, status)
        return folder
    raise PublishError(
        f"{' or '.join(map(str, _PARENTS))}: lock: expected a directory that can be written to, found none",
        remedy=f"Set {LOCK_DIR_VARIABLE} to a directory of this user.",
    )


def _refuse_unsafe(folder: Path, status: os.stat_result) -> None:
    """Raise PublishError unless this user, and nobody else, may put files there."""
    remedy = f"Find out who made it and remove it, or set {LOCK_DIR_VARIABLE} to another directory."
    if stat.S_ISLNK(status.st_mode):
        found = "a symbolic link"
    elif not stat.S_ISDIR(status.st_mode):
        found = "a file"
    elif status.st_uid != os.geteuid():
        found = f"a directory of user {status.st_uid}"
    elif (mode := stat.S_IMODE(status.st_mode) & 0o777) != _OWN_MODE:
        found, remedy = f"mode {mode:04o}", f"Make sure that nobody else put files there: chmod 700 {folder}"
    else:
        return
    raise PublishError(
        f"{folder}: lock: expected a directory of user {os.geteuid()} with mode 0700, got {found}", remedy=remedy
    )
