"""The machine and the versions that a table was measured with."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

_QUIET = 0.05


def describe(work: Path) -> list[str]:
    """Return what a reader needs to compare a table with one of another machine."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sha = "with" if {"sha_ni", "sha2"} & set(flags.split()) else "without"
    return [
        f"{len(os.sched_getaffinity(0))} cores, {_cpuinfo('model name') or platform.machine()}, {sha} SHA instructions",
        f"{memory / 2**30:.0f} GiB memory; files on {_said('findmnt', '-no', 'FSTYPE', '-T', str(work))}, "
        "in the page cache",
        f"Linux {platform.release()}; {_said('openssl', 'version')}; {_said('sha256sum', '--version')}",
        f"Python {platform.python_version()} ({platform.python_compiler()}); {_versions()}",
    ]


class OtherWork:
    """How much of the cores went to others since it was made: what a figure is worth hangs on it."""

    def __init__(self) -> None:
        self._cores = len(os.sched_getaffinity(0))
        self._busy_s, self._own_s, self._started = _busy_s(), _own_s(), time.monotonic()

    @property
    def share(self) -> float:
        """Processor time of other processes and of the host, over all that there was."""
        available = (time.monotonic() - self._started) * self._cores
        return max(0.0, _busy_s() - self._busy_s - _own_s() + self._own_s) / available


def wait_for_quiet(patience_s: float) -> None:
    """Return once others take less than a twentieth of the cores for five seconds, or patience is at its end."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        others = OtherWork()
        time.sleep(5)
        if others.share < _QUIET:
            return


def _busy_s() -> float:
    user, nice, system, _idle, _wait, *rest = map(
        int, Path("/proc/stat").read_text("ascii").split("\n")[0].split()[1:8]
    )
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    return sum(os.times()[:4])


def _cpuinfo(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].partition("(Library")[0].strip()


def _versions() -> str:
    found = []
    for name in ("c10", "doit", "tensorrt-rtx", "onnx"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)
