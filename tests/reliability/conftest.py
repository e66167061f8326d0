"""Fixtures of the reliability tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .project import SCRATCH, Project, Zygote

HERE = Path(__file__).parent
SOAK_TIMEOUT_S = 3600


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long form unless it is asked for, and what needs root where there is none."""
    soak = "soak" in (config.option.markexpr or "")
    obstacle = _obstacle()
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT_S))
            if not soak:
                item.add_marker(pytest.mark.skip(reason="long form: pytest -m soak"))
        if obstacle and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=obstacle))


def _obstacle() -> str:
    """Return why mounts and strace cannot be used here; empty where they can."""
    if os.geteuid() != 0:
        return "needs root: mounts, loop devices, strace"
    missing = [tool for tool in ("strace", "mkfs.ext4", "mkfs.xfs", "mount", "prlimit") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"needs the right to mount: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """A warm Python with this c10."""
    warm = Zygote()
    yield warm
    warm.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are its user's alone)."""
    path = Path(tempfile.mkdtemp(prefix="c10-", dir=SCRATCH))
    path.chmod(0o755)
    yield path
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():  # what a test that was cut off left mounted
        if line.split()[1].startswith(f"{path}/"):
            subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_project(folder: Path, zygote: Zygote) -> Callable[..., Project]:
    """Make projects, each in a folder of its own."""

    def make(*models: str, name: str = "project") -> Project:
        return Project(folder / name, zygote, models or ("alpha", "beta"))

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """A corpus of two models that was never built."""
    return make_project()
