"""Fixtures of the whole suite: the corpus of ACCEPTANCE.md, and the two ways to run it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm_doit
from harness import Corpus, Driver
from hypothesis import settings
from reliability.figures import FIGURES, NEVER
from unit import NoProcess, mark_unit_tests

# Shared machines stall: Hypothesis counts examples here, never milliseconds.
settings.register_profile("c10", deadline=None)
settings.load_profile("c10")


_NO_PROCESS = NoProcess()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the unit tests before `-m` chooses."""
    mark_unit_tests(items)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no unit test start a process."""
    _NO_PROCESS.during(item)
    yield
    _NO_PROCESS.over()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of a worker of pytest-xdist to the process that prints them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = dict(FIGURES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add a worker's figures; one that crashed has sent none."""
    FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures of the reliability tests in this run."""
    if not FIGURES:
        return
    terminalreporter.section("reliability: what was tried")
    for name in sorted(set(FIGURES) - set(NEVER)) + list(NEVER):
        terminalreporter.write_line(f"{FIGURES[name]:>8}  {name}")


@pytest.fixture(scope="session", autouse=True)
def lock_folder() -> Iterator[Path]:
    """Keep this session's lock of the GPU apart from that of other programs; every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="c10-locks-"))
    folder.chmod(0o777)
    os.environ["C10_LOCK_DIR"] = str(folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def warm_process() -> Iterator[None]:
    """End the process that `doit` is forked from, which the first test that runs it starts."""
    yield
    warm_doit.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Three backbones, sm 87, jp 6.2, trt 10.3, fp16, and a fake runtime."""
    return Corpus(tmp_path / "checkout").write()


@pytest.fixture(params=["doit", "EngineCompiler"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each row of ACCEPTANCE.md holds both ways."""
    way: Driver = request.param
    return way
