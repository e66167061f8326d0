"""Everything that c10 asks of a runtime, read in one place.

Required is ``compile_engine`` (``CompileEngineCallable``). Optional, with the default if a runtime lacks it:

``kind``: "trt" or "rtx", the product that it compiles with. Default: what the configuration says; if that says
"auto", TensorRT on a host that has it and otherwise TensorRT-RTX.
``for_engine(engine_path, lock)``: see ``PreparedRuntime``. Default: the runtime itself compiles.

Of the entry that ``compile_engine`` returns, ``sha256`` is required. Optional are ``network`` (default: the ONNX was
compiled unchanged) and ``pieces`` (default: the bytes that this process published, otherwise the engine is read).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from c10.conversion.report import NetworkReport
from c10.corpus.runtimes import RUNTIME_OF, RuntimeKind
from c10.corpus.spec import BuildConfig
from c10.files.pieces import PieceDigests
from c10.runtimes.protocol import CompileEngineCallable, ProgressCallback


@runtime_checkable
class PreparedRuntime(Protocol):
    """A runtime that wants to know, before it compiles, for which engine it does so."""

    def for_engine(self, engine_path: Path, lock: int) -> CompileEngineCallable:
        """Return the runtime that compiles this engine.

        ``engine_path``: where c10 publishes the engine; ``compile_engine`` is given a path in a private folder.
        ``lock``: the descriptor of the engine's lock, for a child process to keep open, so that the engine stays
        locked while a process lives that might write it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a runtime says of an engine that it compiled; nothing of it is checked yet."""

    sha256: str
    """Of the engine's bytes, in hex."""
    network: NetworkReport
    """What became of the network."""
    pieces: PieceDigests | None
    """The digests of the engine's pieces; None if the runtime does not say them."""


def stated_kind(runtime: CompileEngineCallable) -> RuntimeKind | None:
    """Return the kind that a runtime states; None if it states none, or one that c10 does not know."""
    said = getattr(runtime, "kind", None)
    return RUNTIME_OF[said].kind if isinstance(said, str) and said in RUNTIME_OF else None


def prepared(runtime: CompileEngineCallable, engine_path: Path, lock: int) -> CompileEngineCallable:
    """Return the runtime that compiles this engine; the arguments are those of ``PreparedRuntime.for_engine``."""
    return runtime.for_engine(engine_path, lock) if isinstance(runtime, PreparedRuntime) else runtime


def compiled(
    runtime: CompileEngineCallable, onnx_path: Path, config: BuildConfig, output_path: Path, progress: ProgressCallback
) -> Compiled:
    """Let a runtime compile and return what it says. Raises what the runtime raises."""
    entry = runtime.compile_engine(onnx_path, config, output_path, progress=progress)
    network, pieces = getattr(entry, "network", None), getattr(entry, "pieces", None)
    return Compiled(
        sha256=entry.sha256,
        network=network if isinstance(network, NetworkReport) else NetworkReport(types_from="injected runtime"),
        pieces=pieces if isinstance(pieces, PieceDigests) else None,
    )
