"""Proves that an engine, its sidecar and its build record agree, and that it is signed as asked.

The rule does no I/O: its caller passes what was read, and it raises the VerificationError of the check that fails.
`judge` turns that error into a reason to rebuild; `load_engine` does not catch it.
"""

from __future__ import annotations

from pathlib import Path

from c10.errors import DigestMismatchError, InvalidRecordError, RecordError, RecordMismatchError, VerificationError
from c10.files.naming import EnginePaths
from c10.files.sidecar import parse_sidecar
from c10.proof.evidence import Evidence
from c10.proof.record import BuildRecord, parse_record
from c10.signing.policy import SigningPolicy


def prove(engine_path: Path, evidence: Evidence, policy: SigningPolicy, *, sha256: str, size: int) -> BuildRecord:
    """Return the record of an engine that was read: ``sha256`` (hex) and ``size`` (bytes) are those of its bytes.

    The checks, in order: the sidecar names this digest; the record is whole, and names this engine, digest and
    size; neither engine nor key is revoked; the envelope exists if the policy requires one, holds this record and
    bears a trusted key's signature. ``engine_path`` gives the engine's name and is not opened. Raises the
    VerificationError of the first check that fails, and SigningError if the policy's keys cannot be read.
    """
    named = named_digest(engine_path, evidence)
    refuse_other_bytes(engine_path, named, sha256)
    record = _agreeing_record(engine_path, evidence, named)
    if record.size != size:
        raise RecordMismatchError(
            f"{EnginePaths.of(engine_path).record}: expected the record of an engine of {size} bytes, "
            f"got one of {record.size}",
            detail=f"of {record.engine_name}",
        )
    _check_signature(engine_path, evidence, policy, record)
    return record


def prove_before_reading(engine_path: Path, evidence: Evidence, policy: SigningPolicy) -> BuildRecord:
    """Return the record of an engine that has not been read, if the files beside it pass the checks of ``prove``.

    The engine's bytes are still unproved: the caller compares their size with the record's, and their digest with
    ``refuse_other_bytes``. Raises as ``prove`` does.
    """
    record = _agreeing_record(engine_path, evidence, named_digest(engine_path, evidence))
    _check_signature(engine_path, evidence, policy, record)
    return record


def named_digest(engine_path: Path, evidence: Evidence) -> str:
    """Return the digest that the sidecar names. Raises MissingSidecarError and InvalidSidecarError."""
    return parse_sidecar(_bytes(evidence.sidecar), engine_path.name, EnginePaths.of(engine_path).sidecar)


def refuse_other_bytes(engine_path: Path, expected: str, sha256: str) -> None:
    """Raise DigestMismatchError unless the engine's digest is the expected one."""
    if sha256 != expected:
        raise DigestMismatchError(
            f"{engine_path}: expected digest {expected[:12]}…, got {sha256[:12]}…",
            detail=f"{expected[:12]}… → {sha256[:12]}…",
        )


def _agreeing_record(engine_path: Path, evidence: Evidence, named: str) -> BuildRecord:
    """Return the record, if it is whole and names this engine and the digest that the sidecar names."""
    path = EnginePaths.of(engine_path).record
    try:
        record = parse_record(_bytes(evidence.record), path)
    except RecordError as error:
        raise InvalidRecordError(error.message) from error
    if record.engine_name != engine_path.name:
        raise RecordMismatchError(
            f"{path}: expected the record of this engine, got that of {record.engine_name}",
            detail=f"of {record.engine_name}",
        )
    if record.sha256 != named:
        raise RecordMismatchError(
            f"{engine_path}: expected sidecar and record to agree, got {named[:12]}… and {record.sha256[:12]}…",
            detail=f"of {record.engine_name}",
        )
    return record


def _check_signature(engine_path: Path, evidence: Evidence, policy: SigningPolicy, record: BuildRecord) -> None:
    if policy == SigningPolicy():
        return
    from c10.signing.check import check_signature  # imports cryptography

    check_signature(engine_path, _bytes(evidence.record), evidence.envelope, policy, sha256=record.sha256)


def _bytes(found: bytes | VerificationError) -> bytes:
    if isinstance(found, VerificationError):
        raise found
    return found
