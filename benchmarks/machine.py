"""The machine and the versions that a table was measured with."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


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


def load() -> str:
    """Return the load average: a run beside other work is worth less."""
    return "load average " + " ".join(f"{value:.2f}" for value in os.getloadavg())


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
