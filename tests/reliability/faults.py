"""Faults in system calls, by strace: record a run first, then repeat it with one call made to fail.

Only calls on the given paths count and are failed. Names of temporary files are made predictable for it (see
``tokens`` in drivers/zygote.py), so that calls on them are found too.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c10.building.device import device_lock

from .project import How, Project, Run

#: Calls that change what is on disk or make it durable, and the ones that look.
CHANGING: Final = (
    "mkdir",
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "ftruncate",
    "close",
)
LOOKING: Final = ("newfstatat", "statx", "getdents64", "lseek", "read", "readv", "pread64", "flock", "fcntl")
_LINE: Final = re.compile(r"^\d+ +(\w+)\(.*", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """One call of a run, and what happens to it (strace's words: ``error=EIO``, ``signal=SIGKILL``)."""

    call: str
    when: int
    what: str

    def __str__(self) -> str:
        return f"{self.call}#{self.when}:{self.what}"


def engine_paths(project: Project, tokens: str) -> list[Path]:
    """Return every path that building this project's engines touches, temporary files and folders included."""
    locks = project.cache / ".locks"
    database = Path(project.dep_file)
    paths = [project.cache, *project.cache.parents[:2], locks, device_lock()]
    paths += [database, Path(f"{database}-journal")]
    for model in project.models:
        files = (*project.files(model), project.envelope(model))
        paths += [locks / f"{files[0].name}.lock", *files]
        numbers = range(1, (len(files) + 1) * len(project.models) + 1)  # a folder and four files each
        paths += [_temporary(file, tokens, n) for file in files for n in numbers]
        for number in numbers:
            folder = _temporary(files[0], tokens, number)
            staged = [folder / file.name for file in files[:2]]  # the runtime publishes them right after
            paths += [folder, *staged, *(_temporary(file, tokens, number + n) for file in staged for n in (1, 2))]
    return paths


def _temporary(path: Path, tokens: str, number: int) -> Path:
    """Return the name that c10 gives the number-th temporary file or folder of a run."""
    return path.with_name(f".{path.name}.{tokens}{number:04x}.tmp")


def traced(
    project: Project, paths: Iterable[Path], argv: tuple[str, ...], fault: Fault | None, tokens: str
) -> tuple[Run, str]:
    """Run doit under strace; return how it ended and strace's log. The promise is not checked here."""
    log = project.root / ".strace"
    log.write_bytes(b"")
    started = project.start(*argv, how=How(tokens=tokens, traced=True))
    command = ["strace", "-f", "-qqq", "-o", str(log), "-p", str(started.pid), "-e", "signal=none"]
    for path in paths:
        command += ["-P", str(path)]
    if fault is None:
        command += ["-y", "-e", f"trace={','.join(CHANGING + LOOKING)}"]
    else:
        command += ["-e", f"trace={fault.call}", "-e", f"inject={fault.call}:{fault.what}:when={fault.when}"]
    # Its own complaints (a path that is not there yet) are no news.
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tracer:
        run = started.wait()
        tracer.wait()
    return run, log.read_text("utf-8", "replace")


def calls_of(log: str) -> Counter[str]:
    """Return how often each call stands in strace's log."""
    return Counter(call for call, _ in lines_of(log))


def lines_of(log: str) -> list[tuple[str, str]]:
    """Return each call and its line in strace's log."""
    return [(found[1], found[0]) for found in _LINE.finditer(log)]


def fired(run: Run, log: str) -> bool:
    """Whether the fault came to pass."""
    return run.status == -9 or "INJECTED" in log
