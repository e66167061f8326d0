"""A whole cold build with TensorRT-RTX, beside the shortest script that does the same by hand."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from corpora import DODO, child_environment
from measure import Command, Sample, Spread, alternate
from table import Row

_SLACK, _FIXED_S = 1.03, 0.3
_MEMORY_SLACK = 1.05


def cold(work: Path, onnx: Path | None, rounds: int, synthetic_mb: int) -> list[Row]:
    """Compare both, time and memory; without an ONNX, with a stack of matrix products made for it."""
    if find_spec("tensorrt_rtx") is None:
        return [Row("whole cold build", "", "", note="not run: TensorRT-RTX is not installed")]
    folder = work / "cold"
    (folder / "engines").mkdir(parents=True, exist_ok=True)
    named = onnx.name if onnx else f"a synthetic stack of {synthetic_mb} MB"
    onnx = onnx or _synthetic(folder / "synthetic.onnx", synthetic_mb)
    environment = child_environment(work)
    _write(folder, onnx)
    by_hand = [sys.executable, str(Path(__file__).with_name("handwritten.py")), str(onnx), "by_hand.engine"]
    script = Command(by_hand, folder, environment)
    doit = Command([sys.executable, "-m", "doit", "engines"], folder, environment)
    runs = alternate(rounds, lambda: _from_nothing(folder, doit), lambda: _from_nothing(folder, script), warm_up=1)
    doit.run()
    (engine,) = (folder / "engines").glob("*.engine")
    script.run()
    same = "the same bytes" if filecmp.cmp(engine, folder / "by_hand.engine", shallow=False) else "other bytes"
    return _rows(f"{named} ({engine.stat().st_size / 1e6:.0f} MB engine)", same, runs)


def _rows(named: str, same: str, runs: list[tuple[Sample, ...]]) -> list[Row]:
    allowed = [_SLACK * theirs.wall_s + _FIXED_S for _, theirs in runs]
    return [
        Row(
            f"whole cold build of {named}",
            f"≤ {_SLACK} × script + {_FIXED_S} s",
            f"{Spread.of(o.wall_s for o, _ in runs)} s to {Spread.of(t.wall_s for _, t in runs)} s",
            Spread.of(ours.wall_s / goal for (ours, _), goal in zip(runs, allowed, strict=True)),
            f"both engines are {same}",
        ),
        Row(
            "its peak memory, all processes together",
            "≤ script + 5 %",
            f"{Spread.of(o.peak_mb for o, _ in runs)} MiB to {Spread.of(t.peak_mb for _, t in runs)} MiB",
            Spread.of(ours.peak_mb / (_MEMORY_SLACK * theirs.peak_mb) for ours, theirs in runs),
        ),
    ]


def _from_nothing(folder: Path, command: Command) -> Sample:
    shutil.rmtree(folder / "engines", ignore_errors=True)
    for left in [*folder.glob(".doit.db*"), *folder.glob("by_hand.engine")]:
        left.unlink()
    return command.run_tree()


def _write(folder: Path, onnx: Path) -> None:
    lines = ['runtime = "tensorrt_rtx"', 'precision = "fp32"', "[[backbones]]", 'model_name = "cold"']
    (folder / "backbones.toml").write_text("\n".join([*lines, f'onnx_path = "{onnx.absolute()}"']) + "\n", "utf-8")
    (folder / "dodo.py").write_text(DODO, "utf-8")


def _synthetic(path: Path, megabytes: int) -> Path:
    # In a process of its own, so that what it took is given back before anything is measured.
    make = Path(__file__).with_name("synthetic.py")
    subprocess.run([sys.executable, str(make), str(path), str(megabytes)], check=True)
    return path
