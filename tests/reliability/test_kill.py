"""kill -9 of doit, at random moments: the next run is always right."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from .figures import FIGURES
from .project import DRIVERS, Project
from .test_concurrency import light_model

DOIT = Path(sys.executable).with_name("doit")
SEED = 10


def _run_and_kill(folder: Path, after_s: float | None, *argv: str) -> tuple[int, str, float]:
    """Run the real program; kill the one process after a while, as an operator or the kernel would."""
    environment = {**os.environ, "PYTHONPATH": str(DRIVERS)}
    started = time.monotonic()
    with subprocess.Popen(
        [str(DOIT), *argv], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if after_s is not None:
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    return process.returncode, out + err, time.monotonic() - started


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_after_kill_9_the_next_run_is_right(project: Project, count: int) -> None:
    project.behave(size=3_000_000, sleep=0.05)
    _, _, whole_s = _run_and_kill(project.root, None, "-a", "engines")
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
        status, text, _ = _run_and_kill(project.root, chosen.uniform(0.1, whole_s), *force, "engines")
        assert "Traceback" not in text, text
        killed += status == -signal.SIGKILL
        reported = {m for m in project.models if f"BUILT  {m}:" in text or f"REUSED {m}:" in text}
        after = project.run()
        assert after.status == 0, after.text
        lost = reported - after.models("REUSED")
        FIGURES["reported builds lost"] += len(lost)
        assert not lost, text + after.text
        assert after.models("BUILT") | after.models("REUSED") == set(project.models)
        assert project.temporaries() == []
    FIGURES["kill -9 of doit, next run right"] += killed


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="needs TensorRT-RTX, which compiles without a GPU")
@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_with_a_real_compiler_at_work(folder: Path, count: int) -> None:
    shutil.copyfile(light_model("squeezenet"), folder / "model.onnx")
    (folder / "dodo.py").write_text("from c10.tasks import DOIT_CONFIG, task_engines\n", "utf-8")
    (folder / "backbones.toml").write_text(
        'runtime = "tensorrt_rtx"\n[[backbones]]\nmodel_name = "squeezenet"\nonnx_path = "model.onnx"\n'
        'expected_input_shape = [1, 3, 224, 224]\ninput_name = "data_0"\n',
        "utf-8",
    )
    status, text, whole_s = _run_and_kill(folder, None, "engines")
    assert status == 0, text
    digest = _one_engine(folder)
    chosen = random.Random(SEED)  # noqa: S311
    for _ in range(count):
        shutil.rmtree(folder / "engines", ignore_errors=True)
        status, text, _ = _run_and_kill(folder, chosen.uniform(0.2, whole_s), "engines")
        after = _run_and_kill(folder, None, "engines")
        assert after[0] == 0, after[1]
        assert "REUSED" in after[1] or "BUILT" not in text, "reported and lost"
        # RTX compiles to the same bytes every time, so there is one right engine.
        assert _one_engine(folder) == digest
        assert not list((folder / "engines").glob(".*.tmp"))
        FIGURES["kill -9 of doit with a real compiler, next run right"] += status == -signal.SIGKILL


def _one_engine(folder: Path) -> bytes:
    return next((folder / "engines").glob("*.engine")).read_bytes()
