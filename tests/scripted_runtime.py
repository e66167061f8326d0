"""A runtime whose compile is a function that a test gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from c10 import BuildConfig, EngineCacheEntry, Sha256Sidecar


class Runtime:
    """A runtime that does what a test says."""

    def __init__(self, compile_engine: Callable[[Path, Path], EngineCacheEntry], kind: str | None = None) -> None:
        self._compile = compile_engine
        if kind is not None:
            self.kind = kind

    def compile_engine(
        self,
        onnx_path: Path,
        build_config: BuildConfig,  # noqa: ARG002
        output_path: Path,
        *,
        progress: Any = None,  # noqa: ARG002
    ) -> EngineCacheEntry:
        return self._compile(onnx_path, output_path)


def write(onnx_path: Path, output_path: Path) -> EngineCacheEntry:  # noqa: ARG001
    return EngineCacheEntry(
        engine_path=output_path, sha256=Sha256Sidecar.write_atomic_and_sidecar(output_path, b"engine")
    )
