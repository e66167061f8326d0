"""kill -9 of doit, at random moments: the next run is always right."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from .figures import FIGURES
from .project import Project
from .real import needs_rtx, one_engine, run_and_kill, write_real_project

SEED = 10


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_after_kill_9_the_next_run_is_right(project: Project, count: int) -> None:
    project.behave(size=3_000_000, sleep=0.05)
    whole_s = run_and_kill(project.root, None, "-a", "engines").seconds
    chosen = random.Random(SEED)  # noqa: S311
    killed = attempts = 0
    while killed < count:  # a kill that comes too late is none
        attempts += 1
        assert attempts < 5 * count, f"only {killed} of {attempts} kills came in time"
        if chosen.random() < 0.5:
            project.set_onnx("alpha", b"version %d" % attempts)
        if chosen.random() < 0.3:
            shutil.rmtree(project.cache, ignore_errors=True)
        if chosen.random() < 0.3:
            Path(project.dep_file).unlink(missing_ok=True)
        force = ("-a",) if chosen.random() < 0.5 else ()
        run = run_and_kill(project.root, chosen.uniform(0.1, whole_s), *force, "engines")
        assert "Traceback" not in run.text, run.text
        killed += run.killed
        reported = {m for m in project.models if f"BUILT  {m}:" in run.text or f"REUSED {m}:" in run.text}
        after = project.run()
        assert after.status == 0, after.text
        lost = reported - after.models("REUSED")
        FIGURES["reported builds lost"] += len(lost)
        assert not lost, run.text + after.text
        assert after.models("BUILT") | after.models("REUSED") == set(project.models)
        assert project.temporaries() == []
    FIGURES["kill -9 of doit, next run right"] += killed


@needs_rtx
@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_with_a_real_compiler_at_work(folder: Path, count: int) -> None:
    write_real_project(folder)
    first = run_and_kill(folder, None, "engines")
    assert first.status == 0, first.text
    digest = one_engine(folder)
    chosen = random.Random(SEED)  # noqa: S311
    for _ in range(count):
        shutil.rmtree(folder / "engines", ignore_errors=True)
        run = run_and_kill(folder, chosen.uniform(0.2, first.seconds), "engines")
        after = run_and_kill(folder, None, "engines")
        assert after.status == 0, after.text
        assert "REUSED" in after.text or "BUILT" not in run.text, "reported and lost"
        assert one_engine(folder) == digest
        assert not list((folder / "engines").glob(".*.tmp"))
        FIGURES["kill -9 of doit with a real compiler, next run right"] += run.killed
