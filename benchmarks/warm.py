"""A warm `doit engines` over large engines: against the hash alone, against other tools, and what it reads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from corpora import Corpus
from measure import Command, Sample, Spread, alternate, bytes_read
from peers import PEERS, Peer, command, version
from table import Row

_FIXED_S = 0.15
_SLACK = 1.15


def openssl(corpus: Corpus) -> Command:
    """Return the command whose rate is H: one core's SHA-256, reading included."""
    return Command(["openssl", "dgst", "-sha256", *corpus.engines], corpus.folder, corpus.environment)


def against_the_hash(corpus: Corpus, rounds: int) -> list[Row]:
    """Compare the warm run with what the hash of its bytes allows on all cores."""
    cores = min(len(os.sched_getaffinity(0)), corpus.count)
    runs = alternate(rounds, corpus.doit("engines").run, openssl(corpus).run)
    allowed = [_FIXED_S + _SLACK * hash_.wall_s / cores for _, hash_ in runs]
    rate = Spread.of(corpus.total / hash_.wall_s / 1e9 for _, hash_ in runs)
    return [
        Row(
            f"warm `doit engines`, {corpus.count} engines of {corpus.size / 1e6:.0f} MB",
            f"≤ {_FIXED_S} s + {_SLACK} × B ÷ (H × {cores} cores) = {Spread.of(allowed).median:.2f} s",
            f"{Spread.of(ours.wall_s for ours, _ in runs)} s",
            Spread.of(ours.wall_s / goal for (ours, _), goal in zip(runs, allowed, strict=True)),
            f"H = {rate} GB/s; {Spread.of(o.cpu_s for o, _ in runs)} s of processor time",
        )
    ]


def against_peers(corpus: Corpus, rounds: int, work: Path, names: list[str]) -> list[Row]:
    """Compare the warm run with other tools over the same files."""
    rows: list[Row] = []
    ready: list[tuple[Peer, Command]] = []
    for peer in PEERS:
        if peer.name not in names:
            continue
        try:
            ready.append((peer, command(peer, corpus, work)))
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            rows.append(Row(f"the same, against {peer.name}", "faster", "", note=f"not run: {error}"[:200]))
    runs = alternate(rounds, corpus.doit("engines").run, *(made.run for _, made in ready))
    for index, (peer, made) in enumerate(ready, start=1):
        read = bytes_read(made, (".engine",), work)[".engine"]
        rows.append(_against(peer, version(peer, work), read / corpus.total, [(r[0], r[index]) for r in runs]))
    return rows


def _against(peer: Peer, which: str, read: float, pairs: list[tuple[Sample, Sample]]) -> Row:
    return Row(
        f"the same, against {peer.name} {which}",
        "faster",
        f"{Spread.of(ours.wall_s for ours, _ in pairs)} s to {Spread.of(theirs.wall_s for _, theirs in pairs)} s",
        Spread.of(ours.wall_s / theirs.wall_s for ours, theirs in pairs),
        f"it reads {read:.0%} of the bytes",
    )


def what_is_read(corpus: Corpus, work: Path) -> list[Row]:
    """Show that a warm run reads each engine once and no source."""
    read = bytes_read(corpus.doit("engines"), (".engine", ".onnx"), work)
    once = read[".engine"] / corpus.total
    return [
        Row("bytes of ONNX read when nothing changed", "0", str(read[".onnx"]), Spread.of([_excess(read[".onnx"])])),
        Row("bytes of engines read", "each once", f"{once:.3f} × B", Spread.of([1 if once == 1 else _excess(1)])),
    ]


def _excess(count: int) -> float:
    return float("inf") if count else 0.0
