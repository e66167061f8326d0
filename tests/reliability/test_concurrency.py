"""Several at once: each engine is compiled once, the others wait, look again and reuse."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .concurrency import built_once
from .figures import FIGURES
from .project import How, Project
from .real import DOIT, needs_rtx, write_real_project


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_four_at_once_on_a_cold_cache_compile_each_engine_once(project: Project, rounds: int) -> None:
    for _ in range(rounds):
        shutil.rmtree(project.cache, ignore_errors=True)
        Path(project.dep_file).unlink(missing_ok=True)
        runs = built_once(project, 4)
        assert sum(len(run.models("BUILT")) for run in runs) == len(project.models)
        assert sum(len(run.models("REUSED")) for run in runs) == 3 * len(project.models)
        FIGURES["rounds of four doit at once"] += 1


def test_four_at_once_after_a_change_compile_each_engine_once(project: Project) -> None:
    project.run()
    for model in project.models:
        project.set_onnx(model, b"version two")
    built_once(project, 4)


def test_several_processes_of_one_doit_compile_each_engine_once(project: Project) -> None:
    (run,) = built_once(project, 1, "-n", "4", "engines")
    assert run.models("BUILT") == set(project.models)
    assert project.run("-n", "4", "engines").models("REUSED") == set(project.models)


def test_always_execute_forces_also_where_two_do_so_at_once(project: Project) -> None:
    project.run()
    assert project.run("-a", "engines").models("BUILT") == set(project.models)
    before = len(project.compiles())
    started = [project.start("-a", "engines") for _ in range(2)]
    for run in [one.wait() for one in started]:
        project.check(run)
        assert run.status == 0, run.text
        # REUSED is what the one says that met an engine half replaced, waited, and found it built anew by the other.
        assert run.models("BUILT") | run.models("REUSED") == set(project.models), run.text
    compiled = project.compiles()[before:]
    assert set(compiled) == {project.engine(model).name for model in project.models}
    assert project.run().models("REUSED") == set(project.models)


def test_who_waits_says_so_and_the_death_of_the_holder_frees_the_lock(project: Project) -> None:
    project.behave(sleep=30)
    holder = project.start("engines:alpha")
    _await(lambda: len(project.compiles()) == 1)
    project.behave()
    waiting = project.start("engines:alpha", how=How(timeout=20))
    time.sleep(0.3)
    assert len(project.compiles()) == 1  # it waits
    holder.kill()
    assert holder.wait().status == -signal.SIGKILL
    run = waiting.wait()
    project.check(run)
    assert run.models("BUILT") == {"alpha"}


def test_a_live_process_keeps_its_temporary_file(project: Project) -> None:
    project.run()
    orphan = project.cache / f".{project.engine('alpha').name}.0000000000000000.tmp"
    project.behave(sleep=30)
    holder = project.start("-a", "engines:alpha")
    _await(lambda: len(project.compiles()) == 3)
    orphan.write_bytes(b"of the one that is building")
    assert project.run().models("REUSED") == set(project.models)
    assert orphan.exists()
    holder.kill()
    holder.wait()
    project.run()
    assert not orphan.exists()


@needs_rtx
def test_four_real_compilers_at_once(folder: Path) -> None:
    write_real_project(folder)
    environment = {**os.environ, "C10_LOG_FORMAT": "json"}
    command = f'for i in 1 2 3 4; do {DOIT} engines & pids="$pids $!"; done; for p in $pids; do wait $p || exit 9; done'
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count('"event": "c10.engine.cache.miss"') == 1, done.stderr
    assert (done.stdout.count("BUILT "), done.stdout.count("REUSED ")) == (1, 3), done.stdout


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)
