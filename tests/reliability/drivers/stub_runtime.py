"""The runtime of the reliability tests: its engines say what they were built from, and it misbehaves on request.

It writes through the real Sha256Sidecar. Each engine's bytes follow from its first line, so whoever reads one can
tell whether it is whole and what went into it, and no two compiles make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from c10.errors import EngineBuildError
from c10.files.sidecar import Sha256Sidecar
from c10.runtimes.protocol import EngineCacheEntry

DEFAULT_SIZE = 200_000


def fingerprint(onnx: bytes, external: bytes, workspace_mb: int, precision: str, host: dict[str, Any]) -> str:
    """Digest what an engine is built from, in the tests' own way."""
    options = json.dumps([workspace_mb, precision, host], sort_keys=True).encode()
    return hashlib.sha256(b"|".join(hashlib.sha256(part).digest() for part in (onnx, external, options))).hexdigest()


def payload(inputs: str, nonce: str, size: int) -> bytes:
    """Return an engine: a line of JSON, and bytes that follow from it."""
    line = json.dumps({"inputs": inputs, "nonce": nonce, "size": size}).encode() + b"\n"
    return line + hashlib.shake_256(line).digest(max(size - len(line), 1))


def read_payload(data: bytes) -> dict[str, Any] | None:
    """Return an engine's first line where every byte is right, else None."""
    try:
        head = json.loads(data[: data.index(b"\n")])
        whole = data == payload(head["inputs"], head["nonce"], head["size"])
    except (ValueError, KeyError, TypeError):
        return None
    return head if whole else None


class StubRuntime:
    """A CompileEngineCallable. ``stub.json`` in the working directory, or STUB_MODE, says how it behaves."""

    kind = "trt"

    def __init__(self, host: dict[str, Any]) -> None:
        self._host = host

    def compile_engine(
        self, onnx_path: Path, build_config: Any, output_path: Path, *, progress: Any = None
    ) -> EngineCacheEntry:
        """Build, or do what ``mode`` says instead."""
        del progress
        plan = _plan()
        mode = os.environ.get("STUB_MODE") or plan.get("mode", "ok")
        weights = onnx_path.parent / f"{onnx_path.stem}.weights"
        external = weights.read_bytes() if weights.is_file() else b""
        inputs = fingerprint(
            onnx_path.read_bytes(), external, build_config.workspace_mb, build_config.precision, self._host
        )
        data = payload(inputs, os.urandom(8).hex(), plan.get("size", DEFAULT_SIZE))
        _note(plan, output_path, inputs)
        time.sleep(plan.get("sleep", 0))
        if mode == "raise":
            raise EngineBuildError(f"{onnx_path}: build: expected an engine, got the failure that was asked for")
        _arm(mode)
        sha256 = Sha256Sidecar.write_atomic_and_sidecar(output_path, data)
        if mode == "raise_late":
            raise EngineBuildError(f"{onnx_path}: build: expected an end, got a failure after the engine was written")
        return EngineCacheEntry(engine_path=output_path, sha256="0" * 64 if mode == "lie" else sha256)


def _plan() -> dict[str, Any]:
    try:
        return dict(json.loads(Path("stub.json").read_text("utf-8")))
    except FileNotFoundError:
        return {}


def _note(plan: dict[str, Any], output_path: Path, inputs: str) -> None:
    """Count the compile, in one write that does not mix with another process's."""
    line = json.dumps([output_path.name, inputs, os.getpid()]) + "\n"
    with open(plan.get("ledger", "ledger.jsonl"), "ab", buffering=0) as ledger:  # noqa: PTH123
        ledger.write(line.encode())


def _arm(mode: str) -> None:
    """``die:CALL:N``: end this process at the N-th call of os.CALL; ``short``: write a part of what is asked."""
    kind, *arguments = mode.split(":")
    if kind == "die":
        setattr(os, arguments[0], _dying(getattr(os, arguments[0]), int(arguments[1])))
    elif kind == "short":
        write = os.write
        os.write = lambda descriptor, data: write(descriptor, bytes(data[: max(len(data) // 3, 1)]))


def _dying(call: Callable[..., Any], when: int) -> Callable[..., Any]:
    left = [when]

    def die(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            os._exit(9)
        return call(*args, **kwargs)

    return die
