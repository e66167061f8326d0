"""The real program and a real compiler: doit as its users start it, TensorRT-RTX without a GPU."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from .project import DRIVERS

DOIT: Final = Path(sys.executable).with_name("doit")
needs_rtx = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="needs TensorRT-RTX, which compiles without a GPU"
)


@dataclass(frozen=True)
class RealRun:
    """How the program ended."""

    status: int
    text: str
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether the kill came in time."""
        return self.status == -signal.SIGKILL


def run_and_kill(folder: Path, after_s: float | None, *argv: str) -> RealRun:
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
    return RealRun(process.returncode, out + err, time.monotonic() - started)


def write_real_project(folder: Path) -> None:
    """Write a project of one small network that TensorRT-RTX compiles in about a second."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(light_model("squeezenet"), folder / "squeezenet.onnx")
    (folder / "dodo.py").write_text("from c10.tasks import DOIT_CONFIG, task_engines\n", "utf-8")
    (folder / "backbones.toml").write_text(
        'runtime = "tensorrt_rtx"\n[[backbones]]\nmodel_name = "squeezenet"\nonnx_path = "squeezenet.onnx"\n'
        'expected_input_shape = [1, 3, 224, 224]\ninput_name = "data_0"\n',
        "utf-8",
    )


def one_engine(folder: Path) -> bytes:
    """Return its engine's bytes: RTX compiles to the same ones every time, so there is one right engine."""
    return next((folder / "engines").glob("*.engine")).read_bytes()


def light_model(name: str) -> Path:
    """Return a reference network of the onnx package."""
    spec = find_spec("onnx")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "backend", "test", "data", "light", f"light_{name}.onnx")
