"""What a runtime is, to everything above it.

Source of the shape: TensorRT's own flow (parse, profile, config, build, serialize) behind one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from c10.conversion.report import NetworkReport
from c10.corpus.spec import BuildConfig
from c10.files.pieces import PieceDigests


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """Where the builder is: its own name for the phase, and ``step`` of ``steps`` (0 of 0 where unknown)."""

    phase: str
    step: int = 0
    steps: int = 0


ProgressCallback = Callable[[BuildProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCacheEntry:
    """One engine on disk: its path and the SHA-256 (hex) of its bytes. ``size`` is in bytes.

    ``peak_memory_mb`` is the compiling process's largest resident size in MiB, where it was measured. ``network`` is
    what a runtime of c10's own reports; None from an injected runtime, which is given the ONNX unchanged.
    ``pieces`` are the digests of the engine's pieces, from a runtime that publishes in another process; if they are
    None and the engine was not published in this process, c10 reads it once more to compute them.
    """

    engine_path: Path
    sha256: str
    size: int | None = None
    build_key: str | None = None
    peak_memory_mb: int | None = None
    network: NetworkReport | None = None
    pieces: PieceDigests | None = None


class CompileOutcome(str, Enum):
    """BUILT: compiled in this run. REUSED: proved intact and built from exactly these inputs."""

    BUILT = "BUILT"
    REUSED = "REUSED"


@runtime_checkable
class CompileEngineCallable(Protocol):
    """Anything that compiles. ``runtimes.adapter`` says what else a runtime may have, and the defaults if it has not.

    A runtime that raises EngineBuildError (CalibrationCacheError is one), SourceError for a source file that cannot be
    read, or PublishError fails this engine alone, with a message. What it leaves at ``output_path`` then is discarded.
    """

    def compile_engine(
        self,
        onnx_path: Path,
        build_config: BuildConfig,
        output_path: Path,
        *,
        progress: ProgressCallback | None = None,
    ) -> EngineCacheEntry:
        """Compile ``onnx_path`` and write the engine and its sidecar, with ``Sha256Sidecar``, at ``output_path``.

        In a run of c10 ``output_path`` has the engine's file name and lies in a private folder in cache_root, which
        is removed afterwards. c10 checks both files there and only then publishes them at the engine's own path.
        """
        ...
