"""Real file systems in image files, whose power can be cut.

A cut is the file system's own shutdown ioctl: nothing that it has not written reaches the image any more. Flag 1
writes the journal first (the names are there, the data may not be); flag 2 writes nothing.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SHUTDOWN: Final = 0x8004587D
_TRIES: Final = 200  # a second of them
FLAGS: Final = {"journal written": 1, "nothing written": 2}


@dataclass(frozen=True)
class FileSystem:
    """How one is made and mounted."""

    name: str
    size: int
    make: tuple[str, ...]
    options: str = "loop"


EXT4 = FileSystem("ext4", 64 << 20, ("mkfs.ext4", "-q", "-F"))
EXT4_WRITEBACK = FileSystem(
    "ext4 (data=writeback, noauto_da_alloc)",
    64 << 20,
    ("mkfs.ext4", "-q", "-F"),
    "loop,data=writeback,noauto_da_alloc",
)
XFS = FileSystem("xfs", 320 << 20, ("mkfs.xfs", "-q", "-f"))
FILE_SYSTEMS: Final = (EXT4, EXT4_WRITEBACK, XFS)


class Disk:
    """One image and the place where it is mounted."""

    def __init__(self, system: FileSystem, folder: Path) -> None:
        self._system = system
        self._image = folder / "disk.img"
        self._kept = folder / "kept.img"
        self.mount_point = folder / "disk"
        self.mount_point.mkdir()
        with self._image.open("wb") as image:
            image.truncate(system.size)
        _command(*system.make, str(self._image))

    def mount(self) -> None:
        """Mount it; after a cut this is when the journal is replayed."""
        command = ("mount", "-o", self._system.options, str(self._image), str(self.mount_point))
        _command(*command, tries=_TRIES)  # another mount may take the loop device that this one has found free

    def umount(self) -> None:
        """Unmount it, in order unless the power was cut."""
        _command("umount", str(self.mount_point), tries=_TRIES)  # a child of what was killed may still be going

    def keep(self) -> None:
        """Keep a copy of the image as it is, unmounted."""
        _command("cp", "--sparse=always", str(self._image), str(self._kept))

    def restore(self) -> None:
        """Go back to the copy."""
        _command("cp", "--sparse=always", str(self._kept), str(self._image))

    def cut(self, flag: int) -> None:
        """Cut the power, and come up again."""
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(descriptor)
        self.umount()
        self.mount()

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it for the block."""
        self.mount()
        try:
            yield
        finally:
            self.umount()


def _command(*argv: str, tries: int = 1) -> None:
    for _ in range(tries):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(0.005)
    raise AssertionError(f"{' '.join(argv)}: {done.stderr}")
