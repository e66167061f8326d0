"""How cost grows: many engines, a grid of counts and sizes, memory, and doit's -n."""

from __future__ import annotations

from pathlib import Path

from corpora import Corpus, make_all
from measure import Spread, alternate
from table import Row

_ALLOWED_S = 0.5


def many(corpora: list[Corpus], rounds: int) -> list[Row]:
    """Measure the largest of three corpora, and what one more engine costs from each to the next."""
    small, middle, large = corpora
    runs = alternate(rounds, *(corpus.doit("engines").run for corpus in corpora))
    lower = [_each(a.wall_s, b.wall_s, small, middle) for a, b, _ in runs]
    upper = [_each(b.wall_s, c.wall_s, middle, large) for _, b, c in runs]
    per_engine = f"{Spread.of(1e3 * cost for cost in upper)} ms an engine beyond {middle.count}"
    return [
        Row(
            f"warm, {large.count} engines of {large.size / 1e3:.0f} kB",
            f"≤ {_ALLOWED_S} s",
            f"{Spread.of(run[2].wall_s for run in runs)} s",
            Spread.of(run[2].wall_s / _ALLOWED_S for run in runs),
            f"{small.count}: {Spread.of(r[0].wall_s for r in runs)} s, "
            f"{middle.count}: {Spread.of(r[1].wall_s for r in runs)} s",
        ),
        Row(
            f"cost of one more, {middle.count} to {large.count}, over {small.count} to {middle.count}",
            "constant: ≤ 1.1",
            per_engine,
            Spread.of([Spread.of(upper).median / Spread.of(lower).median / 1.1]),
            f"{Spread.of(1e3 * cost for cost in lower)} ms an engine below {middle.count}",
        ),
    ]


def _each(fewer_s: float, more_s: float, fewer: Corpus, more: Corpus) -> float:
    return (more_s - fewer_s) / (more.count - fewer.count)


def grid(work: Path, counts: list[int], sizes: list[int], rounds: int) -> list[Row]:
    """Measure every count with every size: wall time and peak memory."""
    rows = []
    made = make_all(work, [(count, size, 10_000) for size in sizes for count in counts])
    for size in sizes:
        corpora = [corpus for corpus in made if corpus.size == size]
        runs = alternate(rounds, *(corpus.doit("engines").run for corpus in corpora))
        for index, corpus in enumerate(corpora):
            samples = [run[index] for run in runs]
            rows.append(
                Row(
                    f"{corpus.count} × {size / 1e3:.0f} kB",
                    "",
                    f"{Spread.of(s.wall_s for s in samples)} s",
                    note=f"peak memory {corpus.doit('engines').run_tree().peak_mb:.0f} MiB",
                )
            )
    return rows


def parallel(corpora: list[Corpus], rounds: int) -> list[Row]:
    """Compare `doit -n 2` with the serial run: engines are verified in doit's main process either way."""
    rows = []
    for corpus in corpora:
        runs = alternate(rounds, corpus.doit("-n", "2", "engines").run, corpus.doit("engines").run)
        rows.append(
            Row(
                f"`-n 2`, {corpus.count} × {corpus.size / 1e3:.0f} kB, over the serial run",
                "",
                f"{Spread.of(two.wall_s / one.wall_s for two, one in runs)} ×",
                note=f"{Spread.of(two.wall_s for two, _ in runs)} s to {Spread.of(one.wall_s for _, one in runs)} s",
            )
        )
    return rows
