"""All benchmarks of c10: `python benchmarks/run.py` prints a table, goals beside results.

Each result stands beside what it is compared with, run in alternation with it: the column "÷ goal" is what was
measured over what the goal allows in the same round. docs/performance.md explains every line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cold
import convert
import growth
import machine
import start
import verify
import warm
from corpora import make, make_all
from peers import PEERS
from table import Row, render

MB, KB = 1_000_000, 1_000


@dataclass(frozen=True)
class Sizes:
    """How much is measured, and how often."""

    engines: int = 4
    engine_mb: float = 200
    many: int = 1000
    many_kb: float = 100
    load_mb: float = 350
    synthetic_mb: int = 350
    synthetic_blocks: int = 12
    nodes: int = 4000
    rounds: int = 9
    start_rounds: int = 25
    verify_rounds: int = 200
    cold_rounds: int = 3
    convert_rounds: int = 5


QUICK = Sizes(
    engines=2, engine_mb=2, many=30, many_kb=10, load_mb=2, synthetic_mb=5, synthetic_blocks=2, nodes=320,
    rounds=2, start_rounds=2, verify_rounds=5, cold_rounds=1, convert_rounds=2,
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One run of the benchmarks."""

    sizes: Sizes
    work: Path
    onnx: Path | None
    peers: list[str]

    @property
    def _network(self) -> convert.Network:
        return convert.Network(self.onnx, self.sizes.synthetic_mb, self.sizes.synthetic_blocks)

    def warm(self) -> list[Row]:
        """Large engines."""
        size = int(self.sizes.engine_mb * MB)
        corpus = make(self.work, self.sizes.engines, size, size)
        return [
            *warm.against_the_hash(corpus, self.sizes.rounds),
            *warm.against_peers(corpus, self.sizes.rounds, self.work, self.peers),
            *warm.what_is_read(corpus, self.work),
        ]

    def many(self) -> list[Row]:
        """Many engines."""
        size, most = int(self.sizes.many_kb * KB), self.sizes.many
        counts = [max(1, most // 100), max(2, most // 10), most]
        return growth.many(make_all(self.work, [(count, size, 10_000) for count in counts]), self.sizes.rounds)

    def start(self) -> list[Row]:
        """The start of `doit list` and `doit info`."""
        return start.start(make(self.work, 10, int(self.sizes.many_kb * KB), 10_000), self.sizes.start_rounds)

    def verify(self) -> list[Row]:
        """One engine at a time."""
        corpus = make(self.work, 1, int(self.sizes.engine_mb * MB), 10_000)
        return verify.verification(corpus, self.sizes.verify_rounds)

    def load(self) -> list[Row]:
        """The process that flies."""
        return verify.loading(make(self.work, 1, int(self.sizes.load_mb * MB), 10_000), self.sizes.rounds)

    def convert(self) -> list[Row]:
        """A conversion alone."""
        return [
            *convert.large(self.work, self._network, self.sizes.convert_rounds),
            *convert.growth(self.work, self.sizes.convert_rounds, self.sizes.nodes),
        ]

    def cold(self) -> list[Row]:
        """A build."""
        return cold.cold(self.work, self._network, self.sizes.cold_rounds)

    def growth(self) -> list[Row]:
        """How cost grows."""
        most, kb = self.sizes.many, self.sizes.many_kb
        counts = sorted({max(1, most // 100), max(2, most // 10), most})
        sizes = [int(kb * KB / 10), int(kb * KB), int(kb * KB * 10)]
        rounds = max(min(2, self.sizes.rounds), self.sizes.rounds // 3)
        large = make(self.work, self.sizes.engines, int(self.sizes.engine_mb * MB), int(self.sizes.engine_mb * MB))
        return [
            *growth.grid(self.work, counts, sizes, rounds),
            *growth.parallel([large, make(self.work, most, int(kb * KB), 10_000)], rounds),
        ]


BENCHMARKS: dict[str, Callable[[Plan], list[Row]]] = {
    "warm": Plan.warm,
    "many": Plan.many,
    "start": Plan.start,
    "verify": Plan.verify,
    "load": Plan.load,
    "convert": Plan.convert,
    "cold": Plan.cold,
    "growth": Plan.growth,
}


def main(arguments: list[str]) -> int:
    """Run what was asked for and print it."""
    options = _options(arguments)
    sizes = QUICK if options.quick else Sizes()
    given = {name: value for name in asdict(sizes) if (value := getattr(options, name)) is not None}
    plan = Plan(Sizes(**{**asdict(sizes), **given}), options.work.absolute(), options.onnx, options.peers)
    plan.work.mkdir(parents=True, exist_ok=True)
    described = machine.describe(plan.work)
    print("\n".join(f"- {line}" for line in described))
    rows: list[Row] = []
    for name in options.only:
        machine.wait_for_quiet(options.patience)
        print(f"{name} …", file=sys.stderr, flush=True)
        others = machine.OtherWork()
        rows += BENCHMARKS[name](plan)
        print(f"- {name}: other work took {others.share:.0%} of the cores", flush=True)
    print(f"\n{render(rows)}")
    if options.json:
        found = {"machine": described, "rows": [{**asdict(row), "met": row.met} for row in rows]}
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False), "utf-8")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent.parent
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run, not how fast it is")
    parser.add_argument("--work", type=Path, default=here / "build" / "benchmarks", help="corpora and peers; kept")
    parser.add_argument(
        "--onnx",
        type=Path,
        help="model of the conversion and of the cold build, such as DINOv2 as examples/visual_navigation/export.py "
        "exports it; without it a vision transformer of random weights",
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument(
        "--peers", nargs="*", choices=[p.name for p in PEERS], default=[p.name for p in PEERS], metavar="NAME"
    )
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument(
        "--patience", type=float, default=0, metavar="S", help="wait up to S seconds for a quiet machine, before each"
    )
    for name, default in asdict(Sizes()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), metavar="N", help=f"default {default}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
