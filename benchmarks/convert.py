"""`convert_network`: a large network beside a script that rounds the same weights, and how it grows with the nodes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpora import child_environment
from measure import Command, Sample, Spread, alternate
from table import Row

_SLACK = 1.5
_ALLOWED_S, _ALLOWED_GROWTH = 1.0, 2.3
_BLOCK_NODES, _NARROW = 32, 32  # see synthetic.py; narrow: its weights cost next to nothing

_CONVERT = "import sys, c10; c10.convert_network(sys.argv[1], sys.argv[2], precision='fp16')"


def conversion(onnx: Path, output: Path, environment: dict[str, str]) -> Command:
    """Return the command that converts a network to fp16 and does nothing else."""
    return Command([sys.executable, "-c", _CONVERT, str(onnx), str(output)], output.parent, environment)


@dataclass(frozen=True)
class Network:
    """The large network: the given ONNX, or without one a vision transformer of random weights."""

    given: Path | None
    megabytes: int
    blocks: int

    def __str__(self) -> str:
        return self.given.name if self.given else f"a ViT of {self.megabytes} MB"

    def path(self, folder: Path) -> Path:
        """Return the ONNX, written into the folder unless it was given."""
        if self.given:
            return self.given.absolute()
        return vision_transformer(folder / "large.onnx", self.megabytes, self.blocks)


def large(work: Path, network: Network, rounds: int) -> list[Row]:
    """Compare the conversion of a large network with rounding its weights by hand."""
    folder, environment = _folder(work), child_environment(work)
    onnx = network.path(folder)
    script = str(Path(__file__).with_name("by_hand.py"))
    by_hand = Command([sys.executable, script, str(onnx), "by_hand.onnx"], folder, environment)
    ours = conversion(onnx, folder / "converted.onnx", environment)
    runs = alternate(rounds, ours.run_tree, by_hand.run_tree)
    return [
        Row(
            f"conversion of {network} to fp16",
            f"≤ {_SLACK} × load, round with numpy, save, full check",
            f"{Spread.of(o.wall_s for o, _ in runs)} s to {Spread.of(t.wall_s for _, t in runs)} s",
            Spread.of(ours.wall_s / theirs.wall_s / _SLACK for ours, theirs in runs),
            f"processor time {_seconds(o for o, _ in runs)} s to {_seconds(t for _, t in runs)} s; "
            f"peak memory {_memory(o for o, _ in runs)} MiB to {_memory(t for _, t in runs)} MiB",
        )
    ]


def growth(work: Path, rounds: int, nodes: int) -> list[Row]:
    """Measure the conversion of many nodes, and of twice as many; the start is left out where the two are compared."""
    folder, environment = _folder(work), child_environment(work)
    commands, counts = [], []
    for wanted in (_BLOCK_NODES, nodes, 2 * nodes):
        blocks = max(1, wanted // _BLOCK_NODES)
        counts.append(blocks * _BLOCK_NODES)
        onnx = _make(folder / f"{blocks}_blocks.onnx", blocks, _NARROW)
        commands.append(conversion(onnx, folder / "converted.onnx", environment))
    runs = alternate(rounds, *(command.run for command in commands))
    grown = [(twice.cpu_s - start.cpu_s) / (once.cpu_s - start.cpu_s) for start, once, twice in runs]
    _, once, twice = counts
    return [
        Row(
            f"conversion of {once:,} nodes",
            f"≤ {_ALLOWED_S:.0f} s",
            f"{Spread.of(run[1].wall_s for run in runs)} s",
            Spread.of(run[1].wall_s / _ALLOWED_S for run in runs),
            f"processor time {_seconds(run[1] for run in runs)} s, of which the start and {_BLOCK_NODES} nodes take "
            f"{_seconds(run[0] for run in runs)} s",
        ),
        Row(
            f"conversion of {twice:,} nodes over {once:,}",
            f"≤ {_ALLOWED_GROWTH} ×",
            f"{Spread.of(grown)} ×",
            Spread.of(ratio / _ALLOWED_GROWTH for ratio in grown),
            "processor time, without the start",
        ),
    ]


def vision_transformer(path: Path, megabytes: int, blocks: int) -> Path:
    """Write a vision transformer of so many blocks and about so many MB of weights."""
    width = round((megabytes * 1e6 / (4 * blocks * 12)) ** 0.5 / 64) * 64  # 12: matrices of width² in a block
    return _make(path, blocks, max(64, width))


def _make(path: Path, blocks: int, width: int) -> Path:
    # In a process of its own, so that what it took is given back before anything is measured.
    make = Path(__file__).with_name("synthetic.py")
    subprocess.run([sys.executable, str(make), str(path), str(blocks), str(width)], check=True)
    return path


def _folder(work: Path) -> Path:
    folder = work / "convert"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _seconds(samples: Iterable[Sample]) -> Spread:
    return Spread.of(sample.cpu_s for sample in samples)


def _memory(samples: Iterable[Sample]) -> str:
    return f"{Spread.of(sample.peak_mb for sample in samples).median:.0f}"
