"""load_engine, for the process that flies: a file's bytes only when they are proved right.

To deserialize an engine is to run its author's code, so the bytes that are checked are the bytes that are given
back: read once, into memory that is nobody else's, hashed as they arrive. A mapped file could change afterwards.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from c10.errors import (
    BuildKeyMismatchError,
    C10Error,
    DigestMismatchError,
    HostMismatchError,
    HostProbeError,
    InvalidRecordError,
    UnreadableEngineError,
)
from c10.files.digest import open_regular
from c10.files.naming import record_path
from c10.host import HostCapabilities, probe_host
from c10.proof.check import prove_before_reading, refuse_other_bytes
from c10.proof.compatibility import contradictions
from c10.proof.evidence import read_evidence
from c10.proof.facts import describe
from c10.proof.record import BuildRecord
from c10.signing.policy import SigningPolicy

_CHUNK: Final = 4 << 20  # bytes; the reader is ahead of the hasher by as much as there is


def load_engine(
    path: str | Path,
    *,
    require_signature: bool = False,
    trusted_keys: Iterable[str | Path] = (),
    revoked: Iterable[str] = (),
    expected_build_key: str | None = None,
    host: HostCapabilities | None = None,
) -> memoryview:
    """Return an engine's bytes, for ``deserialize_cuda_engine``, once nothing speaks against them.

    Engine, sidecar and build record agree; the signature is a trusted key's (with ``trusted_keys`` one that is
    there has to be right, with ``require_signature`` it has to be there); neither key nor engine is
    ``revoked``; the build is the expected one; the record contradicts no fact of ``host`` (None: this machine).
    Raises a VerificationError that says which, ConfigError for arguments that make no policy, and SigningError
    where trusted keys cannot be read.
    """
    path = Path(path)
    policy = SigningPolicy(
        require_signature=require_signature,
        trusted_keys=tuple(Path(key) for key in trusted_keys),
        revoked=tuple(revoked),
    )
    descriptor = _open(path)
    try:
        record = prove_before_reading(path, read_evidence(path), policy)
        _refuse_other_build(path, record, expected_build_key)
        _refuse_other_host(path, record, host or _this_host())
        return _read(path, descriptor, record)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return open_regular(path)
    except OSError as error:
        raise UnreadableEngineError(f"{path}: expected an engine, got {error.strerror or error}") from error


def _refuse_other_build(path: Path, record: BuildRecord, expected: str | None) -> None:
    if expected not in {None, record.build_key}:
        raise BuildKeyMismatchError(
            f"{path}: expected the build {str(expected)[:12]}…, got {record.build_key[:12]}… of {record.finished_on}"
        )


def _refuse_other_host(path: Path, record: BuildRecord, host: HostCapabilities) -> None:
    try:
        words = tuple(describe(difference) for difference in contradictions(record, host))
    except (C10Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRecordError(f"{record_path(path)}: expected the facts of a host, got {error!r}") from error
    if words:
        raise HostMismatchError(
            f"{path}: expected an engine for this host, got one for another: {'; '.join(words)}",
            remedy="Build it on this host: `doit engines`.",
            differences=words,
        )


def _this_host() -> HostCapabilities:
    try:
        return probe_host()
    except HostProbeError:  # a container that cannot tell its JetPack: unknown, and no contradiction
        return probe_host(jetpack="none")


def _read(path: Path, descriptor: int, record: BuildRecord) -> memoryview:
    size = os.fstat(descriptor).st_size
    if size != record.size:
        raise DigestMismatchError(f"{path}: expected {record.size} bytes, got {size}")
    buffer = _memory(size)
    try:
        sha256 = _fill(descriptor, buffer)
    except OSError as error:
        raise UnreadableEngineError(f"{path}: expected a readable engine, got {error.strerror or error}") from error
    refuse_other_bytes(path, record.sha256, sha256)
    return buffer.toreadonly()


def _memory(size: int) -> memoryview:
    """Return memory of nobody else's, in large pages where there are any: half of a load was 4 KiB page faults."""
    area = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        area.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(area)[:size]


def _fill(descriptor: int, buffer: memoryview) -> str:
    """Read into the buffer and return the digest of what arrived; one core reads while another hashes."""
    from concurrent.futures import ThreadPoolExecutor  # the import of c10 is to stay cheap

    sha256, filled = hashlib.sha256(), 0
    with ThreadPoolExecutor(1) as hasher:
        while count := os.readv(descriptor, [buffer[filled : filled + _CHUNK]]):
            hasher.submit(sha256.update, buffer[filled : filled + count])
            filled += count
    return sha256.hexdigest()
