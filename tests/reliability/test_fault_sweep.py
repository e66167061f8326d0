"""Every file system call of a whole build fails once, in every way: the run ends well or says why not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .faults import CHANGING, LOOKING, Fault, calls_of, engine_paths, fired, traced
from .figures import FIGURES
from .project import How, Project

SEED = 10
#: ``retval`` is a write that says it wrote and did not; true short writes are in test_small_disk.py as well.
ERRORS = ("error=EIO", "error=ENOSPC", "error=EROFS", "error=EDQUOT", "error=EINTR")


def _cold(project: Project) -> None:
    shutil.rmtree(project.cache, ignore_errors=True)
    Path(project.dep_file).unlink(missing_ok=True)


def _older(project: Project) -> None:
    _cold(project)
    for model in project.models:
        project.set_onnx(model, b"version one")
    assert project.run().models("BUILT") == set(project.models)
    for model in project.models:
        project.set_onnx(model, b"version two")


def _faults(project: Project, begin: Callable[[Project], None]) -> list[Fault]:
    begin(project)
    run, log = traced(project, engine_paths(project, "a" * 12), ("engines",), None, "a" * 12)
    assert run.status == 0, run.text
    counts = calls_of(log)
    faults = [
        Fault(call, when, what)
        for call in (*CHANGING, *LOOKING)
        for when in range(1, counts[call] + 1)
        for what in (*ERRORS, "signal=SIGKILL", *(("retval=1",) if "write" in call else ()))
    ]
    assert len(faults) > 400, counts
    return faults


@pytest.mark.root
@pytest.mark.parametrize("count", [40, pytest.param(None, marks=pytest.mark.soak)], ids=["sample", "all"])
@pytest.mark.parametrize("begin", [_cold, _older], ids=["cold", "rebuild"])
def test_every_fault_ends_well_or_says_why(
    begin: Callable[[Project], None], count: int | None, make_project: Callable[..., Project]
) -> None:
    project = make_project("alpha")
    # Not beside dodo.py: calls on that folder are Python's, when it imports it.
    project.cache = project.root / "on" / "disk" / "engines"
    project.cache.parent.mkdir(parents=True)
    project.write()
    faults = _faults(project, begin)
    if count is not None:
        faults = random.Random(SEED).sample(faults, count)  # noqa: S311
    wrong = [
        f"{fault}: {problem}" for number, fault in enumerate(faults) if (problem := _try(project, begin, fault, number))
    ]
    assert not wrong, f"{len(wrong)} of {len(faults)}:\n" + "\n".join(wrong)


def _try(project: Project, begin: Callable[[Project], None], fault: Fault, number: int) -> str:
    """Return what the promise lacked under one fault."""
    begin(project)
    tokens = f"{number:012x}"
    run, log = traced(project, engine_paths(project, tokens), ("engines",), fault, tokens)
    FIGURES["faults injected"] += fired(run, log)
    try:
        project.check(run)
        assert run.status in {0, 1, 3, -9}, f"exit status {run.status}\n{run.text}"
        assert run.status != 0 or run.models("BUILT") | run.models("REUSED") == set(project.models), run.text
        assert run.status in {0, -9} or "expected" in run.text, f"no message\n{run.text}"
        after = project.run()
        lost = (run.models("BUILT") | run.models("REUSED")) - after.models("REUSED")
        FIGURES["reported builds lost"] += len(lost)
        assert not lost, f"lost {lost}\n{run.text}\n{after.text}"
        assert after.status == 0, f"the next run failed\n{run.text}\n{after.text}"
        assert after.models("BUILT") | after.models("REUSED") == set(project.models), after.text
        assert project.temporaries() == [], f"left {project.temporaries()}\n{run.text}"
    except AssertionError as error:
        Path(project.dep_file).unlink(missing_ok=True)
        return str(error)
    return ""


@pytest.mark.parametrize(
    "mode",
    [
        "short",
        "die:write:1",
        "die:write:3",
        "die:fsync:1",
        "die:fsync:3",
        "die:fsync:8",
        "die:rename:1",
        "die:rename:4",
    ],
)
def test_short_writes_are_gone_on_with_and_deaths_leave_nothing_believed(project: Project, mode: str) -> None:
    run = project.run(how=How(env={"STUB_MODE": mode}))
    FIGURES["faults injected"] += 1
    assert run.status == (0 if mode == "short" else 9)
    after = project.run()
    assert after.models("REUSED") == (set(project.models) if mode == "short" else set())
    assert after.models("REUSED") | after.models("BUILT") == set(project.models)
    assert project.temporaries() == []
