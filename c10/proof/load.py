"""load_engine, for the process that runs an engine: returns a file's bytes only if they are verified.

Deserializing an engine runs its author's code, so the bytes that are checked have to be the bytes that are
returned: the file is read once, into private memory, and hashed as it arrives. A mapped file could change later.
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
from c10.files.naming import EnginePaths
from c10.host import HostCapabilities, probe_host
from c10.proof.check import prove_before_reading, refuse_other_bytes
from c10.proof.compatibility import contradictions
from c10.proof.evidence import read_evidence
from c10.proof.facts import describe
from c10.proof.record import BuildRecord
from c10.signing.policy import SigningPolicy

_CHUNK: Final = 4 << 20  # bytes in each read; reading does not wait for hashing


def load_engine(
    path: str | Path,
    *,
    require_signature: bool = False,
    trusted_keys: Iterable[str | Path] = (),
    revoked: Iterable[str] = (),
    expected_build_key: str | None = None,
    host: HostCapabilities | None = None,
) -> memoryview:
    """Verify an engine and return its bytes, for ``deserialize_cuda_engine``; raise if any check fails.

    The checks: engine, sidecar and build record agree; a trusted key signed the record (with ``trusted_keys`` an
    existing signature has to be valid, with ``require_signature`` it also has to exist); neither key nor engine is
    ``revoked``; the build is the expected one; the record contradicts no fact of ``host`` (None: this machine).
    Raises the VerificationError of the check that fails, ConfigError for inconsistent arguments, and SigningError
    if the trusted keys cannot be read.
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
        raise InvalidRecordError(
            f"{EnginePaths.of(path).record}: expected the facts of a host, got {error!r}"
        ) from error
    if words:
        raise HostMismatchError(
            f"{path}: expected an engine for this host, got one for another: {'; '.join(words)}",
            remedy="Build it on this host: `doit engines`.",
            differences=words,
        )


def _this_host() -> HostCapabilities:
    try:
        return probe_host()
    except HostProbeError:  # a container that cannot detect its JetPack: treat it as unknown
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
    """Return private memory, in huge pages if available: 4 KiB page faults took half of a load."""
    area = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        area.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(area)[:size]


def _fill(descriptor: int, buffer: memoryview) -> str:
    """Read into the buffer and return the digest of what arrived; one core reads while another hashes."""
    from concurrent.futures import ThreadPoolExecutor  # keeps `import c10` fast

    sha256, filled = hashlib.sha256(), 0
    with ThreadPoolExecutor(1) as hasher:
        while count := os.readv(descriptor, [buffer[filled : filled + _CHUNK]]):
            hasher.submit(sha256.update, buffer[filled : filled + count])
            filled += count
    return sha256.hexdigest()
