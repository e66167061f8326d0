"""Running commands side by side, and what came out: wall time, processor time, peak memory, spread."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: What would have every measured Python compile its modules anew, write unbuffered, or log.
_LEFT_OUT = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "C10_LOG_FORMAT"}


@dataclass(frozen=True)
class Sample:
    """One run of a command."""

    wall_s: float
    cpu_s: float
    peak_mb: float = 0  # run_tree alone fills it: the kernel's ru_maxrss of a child begins with its parent's size


@dataclass(frozen=True)
class Spread:
    """The median of several values, and between which they lie."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of some values."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Command:
    """A program with its arguments, where it runs, and what its environment has beyond ours."""

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]

    def run(self) -> Sample:
        """Run it once, output thrown away. Raises RuntimeError where it fails."""
        started = time.perf_counter()
        child = self._start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        self._refuse_failure(child.returncode)
        return Sample(wall, usage.ru_utime + usage.ru_stime)

    def run_tree(self) -> Sample:
        """Run it once; peak memory is the largest sum over the process and all its descendants."""
        started = time.perf_counter()
        child = self._start()
        peak = _PeakOfTree(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        self._refuse_failure(child.returncode)
        return Sample(wall, usage.ru_utime + usage.ru_stime, peak.stop())

    def _environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if key not in _LEFT_OUT} | dict(self.environment)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.arguments,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _refuse_failure(self, returncode: int) -> None:
        if returncode:
            done = subprocess.run(
                self.arguments,
                cwd=self.folder,
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            raise RuntimeError(f"{' '.join(self.arguments)}: exit status {returncode}: {done.stdout}{done.stderr}")


class _PeakOfTree:
    """Looks every few milliseconds at the resident memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_kb, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self._peak_kb / 1024

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._peak_kb = max(self._peak_kb, sum(_resident_kb(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                found += _tree(int(child))
    return found


def _resident_kb(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0


def alternate(rounds: int, *cases: Callable[[], Sample], warm_up: int = 1) -> list[tuple[Sample, ...]]:
    """Run the cases one after the other, again and again: a noisy moment hits all of them."""
    for _ in range(warm_up):
        for case in cases:
            case()
    return [tuple(case() for case in cases) for _ in range(rounds)]


def bytes_read(command: Command, suffixes: tuple[str, ...], folder: Path) -> dict[str, int]:
    """Return how many bytes of the files with each suffix a command reads or maps, as strace sees it."""
    for old in folder.glob("strace.*"):
        old.unlink()
    calls = "read,pread64,readv,preadv,mmap,sendfile,copy_file_range"
    traced = ["strace", "-ff", "-qq", "-y", "-s", "0", "-e", f"trace={calls}", "-o", str(folder / "strace")]
    Command([*traced, *command.arguments], command.folder, command.environment).run()
    found = dict.fromkeys(suffixes, 0)
    for trace in folder.glob("strace.*"):
        for line in trace.read_text("utf-8", "replace").splitlines():
            for suffix in suffixes:
                if f"{suffix}>" in line:
                    found[suffix] += _bytes_of(line)
        trace.unlink()
    return found


def _bytes_of(line: str) -> int:
    if line.startswith("mmap("):
        return int(line.split(", ")[1])
    result = line.rpartition(" = ")[2].split(maxsplit=1)[0]
    return max(0, int(result))
