"""Corpora for the tests of the commands: compiled for real by TensorRT-RTX, and beside them engines of a Jetson."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from harness import HOST, TWO_LINES, Corpus, doit, run, snapshot
from networks import matmul_network

from c10.host.tensorrt import probe_tensorrt_rtx

BACKBONES = """\
runtime = "tensorrt_rtx"
precision = "fp32"
[[backbones]]
model_name = "left_eye"
onnx_path = "models/left_eye.onnx"
[[backbones]]
model_name = "right_eye"
onnx_path = "models/right_eye.onnx"
"""


@lru_cache(maxsize=1)
def _compiled() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="c10-commands-")
    cold_corpus(Path(folder.name))
    done = doit(Path(folder.name), "engines")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def cold_corpus(folder: Path) -> Path:
    """Write two small networks and their backbones.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("left_eye", "right_eye")):
        matmul_network(folder / "models" / f"{name}.onnx", batch=4, seed=seed)
    (folder / "backbones.toml").write_text(BACKBONES, "utf-8")
    (folder / "dodo.py").write_text(TWO_LINES, "utf-8")
    return folder


def warm_corpus(folder: Path) -> Path:
    """Return a copy of the corpus with its engines, compiled by TensorRT-RTX once a test run."""
    if probe_tensorrt_rtx() is None:
        pytest.skip("TensorRT-RTX is not installed: these engines are compiled for real")
    shutil.copytree(_compiled().name, folder, dirs_exist_ok=True)
    return folder


def add_jetson_engines(folder: Path, *models: str, **host: Any) -> list[Path]:
    """Put engines of another host into a corpus's cache_root: fake runtime, real sidecars and records."""
    jetson = Corpus(folder.parent / f"jetson-{len(list(folder.parent.iterdir()))}", models=models or ("dinov2_vpr",))
    jetson.host = {**HOST, **host}
    done = run("doit", jetson)
    assert done.rc == 0, done.stderr
    engines = folder / "engines"
    engines.mkdir(exist_ok=True)
    added = []
    for path in jetson.engines.glob("*.engine*"):
        shutil.copy2(path, engines)
        added.append(engines / path.name)
    return sorted(path for path in added if path.suffix == ".engine")


def engine(folder: Path, model_name: str) -> Path:
    """Return the one engine of a model."""
    (path,) = (folder / "engines").glob(f"{model_name}__*.engine")
    return path


def command(folder: Path, *arguments: str, rc: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does; whatever it says has no traceback and no trailing spaces."""
    done = doit(folder, *arguments)
    assert done.returncode == rc, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []
    return done


def command_without_rights(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody whom permissions bind: root gives up what lets it search every directory."""
    done = doit(folder, *arguments, obeys_permissions=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def as_json(folder: Path, *arguments: str, rc: int = 0) -> dict[str, Any]:
    """Run a command and return its JSON document; nothing else stands on standard output."""
    document: dict[str, Any] = json.loads(command(folder, *arguments, "--json", rc=rc).stdout)
    assert document["schema_version"] == 1
    assert document["command"] == arguments[0]
    return document


def untouched(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all that a command which only looks must leave as it is, locks included."""
    return {**snapshot(folder), **{str(path): (b"", 0) for path in folder.rglob(".locks/*")}}
