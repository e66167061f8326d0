"""One engine at a time: Sha256Sidecar.verify and load_engine, beside the hash alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from corpora import Corpus
from measure import Spread
from table import Row
from warm import openssl

import c10

_VERIFY = """
import hashlib, json, os, subprocess, sys, time
from c10.files.sidecar import Sha256Sidecar
path, rounds = sys.argv[1], int(sys.argv[2])
with open(path, "rb") as file:
    data = memoryview(file.read())

def in_memory():
    sha256 = hashlib.sha256()
    for start in range(0, len(data), 1 << 20):
        sha256.update(data[start : start + (1 << 20)])

def openssl():
    subprocess.run(["openssl", "dgst", "-sha256", path], check=True, stdout=subprocess.DEVNULL)

cases = {"verify": lambda: Sha256Sidecar.verify(path), "openssl": openssl, "memory": in_memory}
found = {name: [] for name in cases}
for index in range(rounds + 1):
    for name, case in cases.items():
        started = time.perf_counter()
        assert case() is not False
        if index:
            found[name].append(time.perf_counter() - started)
print(json.dumps(found))
"""

_LOAD = """
import json, resource, subprocess, sys, time
import c10
path = sys.argv[1]
load_engine = c10.load_engine

def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024

before = status("VmRSS")
started = time.perf_counter()
data = load_engine(path)
wall = time.perf_counter() - started
assert len(data) == int(sys.argv[2])
print(json.dumps({"wall": wall, "memory": status("VmHWM") - before}))
"""


def verification(corpus: Corpus, rounds: int) -> list[Row]:
    """Compare one verification with the hash of the same bytes, by openssl and in memory."""
    found = _python(corpus, _VERIFY, corpus.engines[0], str(rounds))
    p99 = _p99(found["verify"])
    what = f"one verification of {corpus.size / 1e6:.0f} MB, p99 of {rounds}"
    times = f"p99 {1e3 * p99:.0f} ms, {Spread.of(1e3 * value for value in found['verify'])} ms"
    rows = []
    for key, goal in (("openssl", "`openssl dgst` of the file"), ("memory", "hashlib over the bytes in memory")):
        pairs = [ours / (1.1 * theirs) for ours, theirs in zip(found["verify"], found[key], strict=True)]
        share = Spread(p99 / (1.1 * _p99(found[key])), min(pairs), max(pairs))
        alone = f"alone p99 {1e3 * _p99(found[key]):.0f} ms, {Spread.of(1e3 * value for value in found[key])} ms"
        note = f"{alone}; p99 over p99, median of the pairs {Spread.of(pairs).median:.2f}"
        rows.append(Row(what, f"≤ 1.1 × {goal}", times, share, note))
    return rows


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def loading(corpus: Corpus, rounds: int) -> list[Row]:
    """Compare load_engine with H, and its memory with the engine's size."""
    what = f"`load_engine`, {corpus.size / 1e6:.0f} MB"
    if not hasattr(c10, "load_engine"):
        return [Row(what, "≥ 0.9 × H", "", note="not run: c10 has no load_engine")]
    shares, speeds, memory = [], [], []
    for _ in range(rounds):
        found = _python(corpus, _LOAD, corpus.engines[0], str(corpus.size))
        alone = openssl(corpus).run().wall_s
        shares.append(found["wall"] / (alone / 0.9))
        speeds.append(corpus.size / found["wall"] / 1e9)
        memory.append(found["memory"] - corpus.size / 2**20)
    return [
        Row(what, "≥ 0.9 × H", f"{Spread.of(speeds)} GB/s", Spread.of(shares), "H: `openssl dgst` of the file"),
        Row(
            f"{what}, peak memory",
            "≤ engine + 16 MiB",
            f"engine + {Spread.of(memory)} MiB",
            Spread.of(extra / 16 for extra in memory),
        ),
    ]


def _python(corpus: Corpus, code: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=corpus.folder,
        env={**os.environ, **corpus.environment},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)
