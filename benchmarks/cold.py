"""A whole cold build with TensorRT-RTX, beside the shortest script that does the same by hand; at fp32 and at fp16.

At fp16 c10 converts the network in the same process that compiles it. The script is given the converted file, and what
it takes to make that file is measured beside it.
"""

from __future__ import annotations

import filecmp
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from convert import Network, conversion
from corpora import DODO, child_environment
from measure import Command, Sample, Spread, alternate
from table import Row

_SLACK, _FIXED_S = 1.03, 0.3
_MEMORY_SLACK = 1.05


def cold(work: Path, network: Network, rounds: int) -> list[Row]:
    """Compare both, time and memory."""
    if find_spec("tensorrt_rtx") is None:
        return [Row("whole cold build", "", "", note="not run: TensorRT-RTX is not installed")]
    folder = work / "cold"
    folder.mkdir(parents=True, exist_ok=True)
    onnx = network.path(folder)
    environment = child_environment(work)
    rows = []
    for precision in ("fp32", "fp16"):
        build, by_hand = _commands(folder, onnx, precision, environment)
        same = _compare(folder, build, by_hand)  # each ran once, which is the warm-up
        cases = (lambda b=build: _from_nothing(folder, [b]), lambda s=by_hand: _from_nothing(folder, s))
        peer = "(script + conversion alone)" if len(by_hand) > 1 else "script"
        rows += _rows(f"{network} at {precision}", peer, same, alternate(rounds, *cases, warm_up=0))
    return rows


def _commands(folder: Path, onnx: Path, precision: str, environment: dict[str, str]) -> tuple[Command, list[Command]]:
    """Return the build, and what does the same by hand."""
    lines = ['runtime = "tensorrt_rtx"', f'precision = "{precision}"', "[[backbones]]", 'model_name = "cold"']
    (folder / "backbones.toml").write_text("\n".join([*lines, f'onnx_path = "{onnx}"']) + "\n", "utf-8")
    (folder / "dodo.py").write_text(DODO, "utf-8")
    build = Command([sys.executable, "-m", "doit", "engines"], folder, environment)
    script = [sys.executable, str(Path(__file__).with_name("handwritten.py"))]
    if precision == "fp32":
        return build, [Command([*script, str(onnx), "by_hand.engine"], folder, environment)]
    converted = folder / "converted.onnx"
    compiling = Command([*script, str(converted), "by_hand.engine"], folder, environment)
    return build, [conversion(onnx, converted, environment), compiling]


def _rows(named: str, peer: str, same: str, runs: list[tuple[Sample, ...]]) -> list[Row]:
    allowed = [_SLACK * theirs.wall_s + _FIXED_S for _, theirs in runs]
    cpu = f"processor time {Spread.of(o.cpu_s for o, _ in runs)} s to {Spread.of(t.cpu_s for _, t in runs)} s"
    return [
        Row(
            f"whole cold build of {named}",
            f"≤ {_SLACK} × {peer} + {_FIXED_S} s",
            f"{Spread.of(o.wall_s for o, _ in runs)} s to {Spread.of(t.wall_s for _, t in runs)} s",
            Spread.of(ours.wall_s / goal for (ours, _), goal in zip(runs, allowed, strict=True)),
            f"{cpu}; {same}",
        ),
        Row(
            f"peak memory of that build of {named}, all processes together",
            "≤ script + 5 %",
            f"{Spread.of(o.peak_mb for o, _ in runs)} MiB to {Spread.of(t.peak_mb for _, t in runs)} MiB",
            Spread.of(ours.peak_mb / (_MEMORY_SLACK * theirs.peak_mb) for ours, theirs in runs),
        ),
    ]


def _from_nothing(folder: Path, commands: Sequence[Command]) -> Sample:
    """Run commands one after the other: their times together, and the largest peak."""
    shutil.rmtree(folder / "engines", ignore_errors=True)
    for left in [*folder.glob(".doit.db*"), *folder.glob("by_hand.engine"), *folder.glob("converted.onnx")]:
        left.unlink()
    runs = [command.run_tree() for command in commands]
    return Sample(sum(r.wall_s for r in runs), sum(r.cpu_s for r in runs), max(r.peak_mb for r in runs))


def _compare(folder: Path, build: Command, steps: Sequence[Command]) -> str:
    """Return the engine's size, and whether the script's is the same."""
    _from_nothing(folder, [build])
    (engine,) = (folder / "engines").glob("*.engine")
    for step in steps:
        step.run()
    same = "the same bytes" if filecmp.cmp(engine, folder / "by_hand.engine", shallow=False) else "other bytes"
    return f"both engines ({engine.stat().st_size / 1e6:.0f} MB) are {same}"
