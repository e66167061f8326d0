"""Reads the small files beside an engine: sidecar, build record and envelope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from c10.errors import (
    InvalidRecordError,
    InvalidSignatureError,
    MissingRecordError,
    RecordError,
    VerificationError,
)
from c10.files.naming import EnginePaths
from c10.files.sidecar import Sha256Sidecar
from c10.proof.record import read_record_bytes
from c10.signing.envelope import read_envelope_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was read beside an engine: the bytes of its sidecar, its build record and its envelope.

    If a file could not be read, its field holds the error instead. ``prove`` raises that error when it needs the
    file, so the order in which files are read does not decide which fault is reported.
    """

    sidecar: bytes | VerificationError
    """The ``.sha256`` file; MissingSidecarError or InvalidSidecarError if it could not be read."""
    record: bytes | VerificationError
    """The build record; MissingRecordError or InvalidRecordError if it could not be read."""
    envelope: bytes | InvalidSignatureError | None
    """The DSSE envelope; None if the engine has none."""


def read_evidence(engine_path: Path) -> Evidence:
    """Read the files beside an engine, each once. Does not raise: errors are in the fields.

    The envelope is read under every signing policy, so that the evidence does not depend on the policy.
    """
    return Evidence(
        sidecar=_or_error(Sha256Sidecar.read_bytes, engine_path),
        record=_or_error(_read_record, EnginePaths.of(engine_path).record),
        envelope=_read_envelope(EnginePaths.of(engine_path).envelope),
    )


def _or_error(read: Callable[[Path], bytes], path: Path) -> bytes | VerificationError:
    try:
        return read(path)
    except VerificationError as error:
        return error


def _read_record(path: Path) -> bytes:
    try:
        return read_record_bytes(path)
    except FileNotFoundError:
        message = f"{path}: expected a build record beside the engine, found none"
        raise MissingRecordError(message, detail="") from None
    except RecordError as error:
        raise InvalidRecordError(error.message) from error


def _read_envelope(path: Path) -> bytes | InvalidSignatureError | None:
    try:
        return read_envelope_bytes(path)
    except FileNotFoundError:
        return None
    except InvalidSignatureError as error:
        return error
