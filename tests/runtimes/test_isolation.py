"""The compiling child: killed, crashing, hanging, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from c10 import (
    BackboneSpec,
    BuildConfig,
    BuildProgress,
    EngineBuildError,
    EngineCompiler,
    EngineCompileRequest,
)
from c10.corpus.spec import BuildOptions, OptimizationProfile, ShapeRange
from c10.runtimes.isolated import IsolatedRuntime

NAME = "densenet__sm80_jpnone_rtx1.7_fp32.engine"
SHAPES = OptimizationProfile.of({"data_0": ShapeRange.fixed((1, 3, 224, 224))})
FP32 = BuildConfig(precision="fp32", profiles=(SHAPES,))
SLOW = "light_densenet121.onnx"  # seconds: long enough to be killed in the middle


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize("blow", [signal.SIGSEGV, signal.SIGKILL])
def test_a_child_that_dies_is_a_build_error_with_signal_and_memory(
    rtx: IsolatedRuntime, light: Path, tmp_path: Path, blow: signal.Signals
) -> None:
    before = children()

    def strike(progress: BuildProgress) -> None:
        if progress.phase not in {"Parsing", "Starting"}:
            for pid in children() - before:
                os.kill(pid, blow)

    with pytest.raises(EngineBuildError, match=rf"killed by {blow.name} \(peak memory \d+ MiB\)"):
        rtx.compile_engine(light / SLOW, FP32, tmp_path / NAME, progress=strike)
    assert not any(tmp_path.iterdir())
    assert children() == before


def test_a_hang_past_the_limit_is_a_build_error(rtx: IsolatedRuntime, light: Path, tmp_path: Path) -> None:
    limited = BuildConfig(precision="fp32", profiles=(SHAPES,), options=BuildOptions(timeout_s=1))
    with pytest.raises(EngineBuildError, match="none within timeout_s = 1") as raised:
        rtx.compile_engine(light / SLOW, limited, tmp_path / NAME)
    assert len(str(raised.value).splitlines()) == 2  # nothing of what the compiler said meanwhile
    assert not any(tmp_path.iterdir())


def test_an_interrupt_ends_the_child(rtx: IsolatedRuntime, light: Path, tmp_path: Path) -> None:
    before = children()

    def interrupt(progress: BuildProgress) -> None:
        if progress.phase != "Parsing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rtx.compile_engine(light / SLOW, FP32, tmp_path / NAME, progress=interrupt)
    assert children() == before


PARENT = """
import sys
from pathlib import Path
from c10.host import probe_host
from c10.runtimes.isolated import IsolatedRuntime
from c10.corpus.spec import BuildConfig

def tell(progress):
    tasks = Path("/proc/self/task").iterdir()
    print(" ".join((t / "children").read_text() for t in tasks), flush=True)

IsolatedRuntime("rtx", probe_host(gpu=False)).compile_engine(
    Path(sys.argv[1]), BuildConfig(precision="fp32"), Path(sys.argv[2]), progress=tell)
"""


def test_the_child_dies_with_its_parent(light: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(light / SLOW), str(tmp_path / NAME)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().split()[0])
        assert os.getpgid(child) == os.getpgid(parent.pid)
        parent.kill()
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(child)
    assert not (tmp_path / NAME).exists()


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_child_holds_the_engines_lock_whoever_chose_the_runtime(
    rtx: IsolatedRuntime, light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an engine stays locked while anybody is alive who might still write it (docs/adr/0005)."""
    inherited: list[str] = []

    def start(*arguments: Any, pass_fds: tuple[int, ...], **options: Any) -> subprocess.Popen[str]:
        inherited.extend(str(Path(f"/proc/self/fd/{descriptor}").readlink()) for descriptor in pass_fds)
        return popen(*arguments, pass_fds=pass_fds, **options)

    popen = subprocess.Popen
    monkeypatch.setattr("c10.runtimes.isolated.subprocess.Popen", start)
    backbone = BackboneSpec(
        model_name="squeezenet",
        onnx_path=light / "light_squeezenet.onnx",
        expected_input_shape=(1, 3, 224, 224),
        input_name="data_0",
    )
    request = EngineCompileRequest(
        backbones=(backbone,), cache_root=tmp_path, host=rtx.host, precision="fp32", workspace_mb=512
    )
    (result,) = EngineCompiler(rtx).compile_engines_for_corpus(request)
    assert inherited == [str(tmp_path / ".locks" / f"{result.entry.engine_path.name}.lock")]
