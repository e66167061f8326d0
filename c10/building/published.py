"""Checks what a runtime published against what it says."""

from __future__ import annotations

import os
import stat

from c10.corpus.target import EngineTarget
from c10.errors import EngineBuildError, VerificationError
from c10.files.pieces import FileDigests, PieceDigests, digest_pieces
from c10.files.sidecar import Sha256Sidecar
from c10.runtimes.protocol import EngineCacheEntry


def published_engine(target: EngineTarget, entry: EngineCacheEntry, heard: list[FileDigests]) -> FileDigests:
    """Return the digests of the engine that a runtime says it built, with those of its pieces.

    ``heard`` is what was published at the engine's path while the runtime worked. Where neither that nor ``entry``
    has the pieces of this engine, it is read once more. Raises EngineBuildError where the runtime did not publish
    what it says.
    """
    try:
        sidecar = Sha256Sidecar.read(target.engine_path)
        status = target.engine_path.stat()
        if sidecar != entry.sha256 or not stat.S_ISREG(status.st_mode):
            raise _another_engine(target, entry, sidecar)
        return _known(entry, status, heard) or _read(target, entry)
    except VerificationError as error:
        raise EngineBuildError(f"{target.model_name}: runtime: {error.message}") from error
    except OSError as error:
        raise EngineBuildError(f"{target.model_name}: runtime: expected an engine, got {error}") from error


def _known(entry: EngineCacheEntry, status: os.stat_result, heard: list[FileDigests]) -> FileDigests | None:
    for digests in reversed(heard):
        if (digests.sha256, digests.size) == (entry.sha256, status.st_size):
            return digests
    pieces = getattr(entry, "pieces", None)
    if not isinstance(pieces, PieceDigests):
        return None
    try:
        pieces.refuse_mismatch(status.st_size, entry.sha256)
    except (ValueError, TypeError):
        return None
    return FileDigests(entry.sha256, status.st_size, pieces)


def _read(target: EngineTarget, entry: EngineCacheEntry) -> FileDigests:
    digests = digest_pieces(target.engine_path)
    if digests.sha256 != entry.sha256:
        raise _another_engine(target, entry, digests.sha256)
    return digests


def _another_engine(target: EngineTarget, entry: EngineCacheEntry, found: str) -> EngineBuildError:
    return EngineBuildError(
        f"{target.engine_path}: runtime: expected an engine of digest {entry.sha256[:12]}…, got {found[:12]}…",
        remedy="A runtime writes engine and sidecar with Sha256Sidecar.write_atomic_and_sidecar(output_path, …).",
    )
