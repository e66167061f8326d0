"""Corpora of engines that no compiler made: random bytes, published as c10 publishes engines."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Command

_PIECE = 1 << 20  # bytes
DODO = "from c10.tasks import DOIT_CONFIG, task_engines\n"

#: The same tasks with a runtime that writes random bytes; the warm runs use DODO, that is c10 as it is.
MAKE = '''\
"""Makes the engines: random bytes through the real Sha256Sidecar."""
import os

from c10.runtimes.protocol import EngineCacheEntry
from c10.files.sidecar import Sha256Sidecar
from c10.tasks import DOIT_CONFIG, engine_tasks


class RandomBytes:
    kind = "rtx"

    def compile_engine(self, onnx_path, build_config, output_path, *, progress=None):
        sha256 = Sha256Sidecar.write_atomic_and_sidecar(output_path, os.urandom({size}))
        return EngineCacheEntry(engine_path=output_path, sha256=sha256, size={size})


def task_engines():
    yield from engine_tasks("backbones.toml", runtime=RandomBytes())
'''


@dataclass(frozen=True)
class Corpus:
    """A checkout whose engines are all there."""

    folder: Path
    count: int
    size: int  # bytes of each engine
    environment: dict[str, str]

    def doit(self, *arguments: str) -> Command:
        """Return the command line that a user would type."""
        return Command([sys.executable, "-m", "doit", *arguments], self.folder, self.environment)

    @property
    def engines(self) -> list[str]:
        """The engines' paths, relative to the folder."""
        return sorted(f"engines/{path.name}" for path in (self.folder / "engines").glob("*.engine"))

    @property
    def total(self) -> int:
        """Bytes of all engines."""
        return self.count * self.size


def child_environment(work: Path) -> dict[str, str]:
    """Return what every measured Python gets: compiled modules, as an installed package has them."""
    return {"PYTHONPYCACHEPREFIX": str(work / "pycache")}


def make(work: Path, count: int, size: int, onnx_size: int) -> Corpus:
    """Return a corpus of ``count`` engines of ``size`` bytes, made unless it is there from an earlier run."""
    return make_all(work, [(count, size, onnx_size)])[0]


def make_all(work: Path, wanted: Sequence[tuple[int, int, int]]) -> list[Corpus]:
    """Return a corpus for each (count, size, onnx_size), and wait only once for the files to settle."""
    corpora = [Corpus(work / "corpora" / f"{n}x{size}", n, size, child_environment(work)) for n, size, _ in wanted]
    made = [_make(corpus, onnx_size) for corpus, (_, _, onnx_size) in zip(corpora, wanted, strict=True)]
    if any(made):
        time.sleep(2.5)  # what changed less than 2 s ago is read again: c10 would trust no time stamp of it
    for corpus in corpora:
        for _ in range(2):
            corpus.doit("engines").run()
    return corpora


def _make(corpus: Corpus, onnx_size: int) -> bool:
    """Make a corpus unless it is there; return whether it was made."""
    folder = corpus.folder
    wanted = {"count": corpus.count, "size": corpus.size, "onnx_size": onnx_size}
    stamp = folder / "corpus.json"
    if stamp.exists() and json.loads(stamp.read_text("utf-8")) == wanted:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    _write(folder, corpus.count, corpus.size, onnx_size)
    corpus.doit("-f", "make.py", "engines").run()
    stamp.write_text(json.dumps(wanted), "utf-8")
    return True


def _write(folder: Path, count: int, size: int, onnx_size: int) -> None:
    lines = ['runtime = "tensorrt_rtx"', 'precision = "fp32"']
    for index in range(count):
        name = f"model_{index:04d}"
        _write_onnx(folder / "models" / f"{name}.onnx", onnx_size)
        lines += ["[[backbones]]", f'model_name = "{name}"', f'onnx_path = "models/{name}.onnx"']
        lines += ["expected_input_shape = [1, 3, 224, 224]"]
    (folder / "backbones.toml").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "dodo.py").write_text(DODO, "utf-8")
    (folder / "make.py").write_text(MAKE.format(size=size), "utf-8")


def _write_onnx(path: Path, size: int) -> None:
    """Write a ModelProto that is well formed and holds nothing but a long text (field 6, doc_string).

    In pieces: it may be larger than what this machine has in memory.
    """
    length, varint = size, bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    with path.open("wb") as file:
        file.write(b"\x08\x08\x32" + bytes(varint))
        for start in range(0, size, _PIECE):
            file.write(os.urandom(min(_PIECE, size - start)))
