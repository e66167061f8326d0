"""Checks what a runtime published against what it says."""

from __future__ import annotations

import os
import stat

from c10.corpus.target import EngineTarget
from c10.errors import EngineBuildError, VerificationError
from c10.files.naming import EnginePaths
from c10.files.pieces import FileDigests, digest_pieces
from c10.files.sidecar import Sha256Sidecar
from c10.runtimes.adapter import Compiled


def published_engine(
    target: EngineTarget, made: EnginePaths, compiled: Compiled, heard: list[FileDigests]
) -> FileDigests:
    """Return the digests of the engine that a runtime says it built, with those of its pieces.

    ``made``: where the runtime was asked to publish. ``heard``: what was published there while it worked. If neither
    that nor ``compiled`` has the pieces of this engine, it is read once more. Raises EngineBuildError if the runtime
    did not publish what it says.
    """
    try:
        sidecar = Sha256Sidecar.read(made.engine)
        status = made.engine.stat()
        if sidecar != compiled.sha256 or not stat.S_ISREG(status.st_mode):
            raise _another_engine(made, compiled, sidecar)
        return _known(compiled, status, heard) or _read(made, compiled)
    except VerificationError as error:
        raise EngineBuildError(f"{target.model_name}: runtime: {error.message}") from error
    except OSError as error:
        raise EngineBuildError(f"{target.model_name}: runtime: expected an engine, got {error}") from error


def _known(compiled: Compiled, status: os.stat_result, heard: list[FileDigests]) -> FileDigests | None:
    for digests in reversed(heard):
        if (digests.sha256, digests.size) == (compiled.sha256, status.st_size):
            return digests
    if compiled.pieces is None:
        return None
    try:
        compiled.pieces.refuse_mismatch(status.st_size, compiled.sha256)
    except (ValueError, TypeError):
        return None
    return FileDigests(compiled.sha256, status.st_size, compiled.pieces)


def _read(made: EnginePaths, compiled: Compiled) -> FileDigests:
    digests = digest_pieces(made.engine)
    if digests.sha256 != compiled.sha256:
        raise _another_engine(made, compiled, digests.sha256)
    return digests


def _another_engine(made: EnginePaths, compiled: Compiled, found: str) -> EngineBuildError:
    return EngineBuildError(
        f"{made.engine}: runtime: expected an engine of digest {compiled.sha256[:12]}…, got {found[:12]}…",
        remedy="A runtime writes engine and sidecar with Sha256Sidecar.write_atomic_and_sidecar(output_path, …).",
    )
