"""Decides whether an engine may be reused. No other module decides it.

The answer is a Proof or a Refusal. For a Proof every byte of the engine was read and hashed, and `check.prove`
returned its record. Functions here do not raise for faults of files on disk: each fault is a reason to rebuild.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

from c10.corpus.target import EngineTarget
from c10.errors import (
    InvalidEngineNameError,
    InvalidSidecarError,
    InvalidSignatureError,
    MissingSidecarError,
    Reason,
    SigningError,
    SourceError,
    UnreadableEngineError,
    VerificationError,
)
from c10.files.digest import FileDigest, FileStamp, digest_file
from c10.files.naming import ENGINE_SUFFIX, EngineFilenameSchema, EngineName, EnginePaths
from c10.proof.check import named_digest, prove
from c10.proof.definition import build_definition, differences, source_files, was_converted
from c10.proof.evidence import Evidence, read_evidence
from c10.proof.facts import Difference, describe
from c10.proof.nearest import name_differences, similarity
from c10.proof.record import BuildRecord
from c10.proof.sources import SourceDigests
from c10.signing.policy import SigningPolicy

SIDECAR_REASONS: tuple[Reason, ...] = ("sidecar_missing", "sidecar_malformed", "digest_mismatch")

_WORDS: dict[Reason, str] = {
    "missing": "no engine yet",
    "engine_unreadable": "the engine cannot be read",
    "sidecar_missing": "sidecar_missing: no .sha256 beside the engine, so its bytes cannot be checked",
    "sidecar_malformed": "sidecar_malformed: the .sha256 beside the engine is not a sidecar",
    "digest_mismatch": "digest_mismatch: the engine's bytes are not those that its .sha256 names",
    "record_missing": "no build record: cannot prove what the engine was built from",
    "record_unreadable": "the build record is unreadable: cannot prove what the engine was built from",
    "record_mismatch": "the build record belongs to another engine",
    "signature_missing": "signature_missing: no signature beside the engine, so nobody vouches for it",
    "signature_invalid": "signature_invalid: the signature beside the engine is not one of its build record",
    "signature_untrusted": "signature_untrusted: no trusted key signed the engine",
    "signature_revoked": "signature_revoked: the engine, or the key that signed it, is revoked",
    "source_unreadable": "a source file cannot be read",
    "inputs_changed": "its inputs changed",
    "forced": "a rebuild was requested",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An intact engine: its bytes agree with its sidecar and record, and its signature satisfies the policy.

    A Proof that ``judge`` returns also means that the recorded inputs are the current ones: the engine may be reused.
    """

    record: BuildRecord
    """The engine's build record."""
    sha256: str
    """Of the engine's bytes, in hex."""
    stamp: FileStamp | None
    """The record's stamp before anything was read; None if its stat failed."""

    def __str__(self) -> str:
        return "intact, and built from exactly these inputs"

    def refused(self, reason: Reason, *, detail: str = "", differences: tuple[Difference, ...] = ()) -> Refusal:
        """Return the refusal of this intact engine, for a reason that is not in its own files."""
        return Refusal(
            reason=reason,
            detail=detail,
            differences=differences,
            record=self.record,
            sha256=self.sha256,
            stamp=self.stamp,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an engine is not reused, and what is known about it."""

    reason: Reason
    """The kind of fault, for programs."""
    detail: str = ""
    """What the message adds to the reason's words; "" for nothing."""
    differences: tuple[Difference, ...] = ()
    """For ``inputs_changed``: how the recorded inputs differ from the current ones; otherwise ()."""
    record: BuildRecord | None = None
    """The record if engine, sidecar and record agree, otherwise None."""
    sha256: str | None = None
    """Of the engine's bytes, in hex; None if they were not read."""
    stamp: FileStamp | None = None
    """The record's stamp before anything was read; None if its stat failed."""

    def __str__(self) -> str:
        if self.differences:
            return "; ".join(describe(difference) for difference in self.differences)
        words = _WORDS[self.reason]
        return f"{words} ({self.detail})" if self.detail else words


Verdict: TypeAlias = Proof | Refusal


def judge(
    target: EngineTarget,
    sources: SourceDigests,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
) -> Verdict:
    """Decide whether one engine may be reused: check its bytes, then its inputs."""
    verdict = check_bytes(target.engine_path, engine_digest, target.signing)
    if isinstance(verdict, Proof):
        return _compare_inputs(verdict, target, sources)
    if verdict.reason == "missing" and not verdict.detail:
        return replace(verdict, detail=_under_another_name(target.engine_path))
    return verdict


def record_stamp(engine_path: Path) -> FileStamp | None:
    """Return the stamp of the build record, which changes with every build; None if its stat fails."""
    try:
        return FileStamp.of(EnginePaths.of(engine_path).record.stat())
    except OSError:
        return None


def _compare_inputs(proof: Proof, target: EngineTarget, sources: SourceDigests) -> Verdict:
    """Return the proof if the current inputs are those of its record, otherwise a refusal."""
    record = proof.record
    try:
        digests = _current_digests(target, record, sources)
    except SourceError as error:
        return proof.refused("source_unreadable", detail=error.message)
    definition = build_definition(target, digests, converted=was_converted(record.definition))
    changed = differences(record.definition, definition)  # not keys: older records list neutral options
    return proof.refused("inputs_changed", differences=changed) if changed else proof


def check_bytes(
    engine_path: Path,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
    signing: SigningPolicy | None = None,
) -> Verdict:
    """Decide whether engine, sidecar and record agree and the signature satisfies the policy. Ignores the inputs."""
    stamp, evidence = record_stamp(engine_path), read_evidence(engine_path)
    try:
        named_digest(engine_path, evidence)  # raises before an engine without a sidecar is hashed
        digest = engine_digest(engine_path)
    except FileNotFoundError:
        return Refusal(reason="missing", stamp=stamp)
    except OSError as error:
        return Refusal(reason=UnreadableEngineError.reason, detail=str(error), stamp=stamp)
    except (MissingSidecarError, InvalidSidecarError) as error:
        reason: Reason = error.reason if _is_there(engine_path) else "missing"
        return Refusal(reason=reason, detail=error.detail, stamp=stamp)
    return _prove(engine_path, evidence, signing or SigningPolicy(), digest, stamp)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a directory that may not be searched, a disk that fails
        return True
    return True


def _prove(
    engine_path: Path, evidence: Evidence, policy: SigningPolicy, digest: FileDigest, stamp: FileStamp | None
) -> Verdict:
    """Return what ``prove`` returns as a Proof, and what it raises as a Refusal."""
    sha256, size = digest.sha256, digest.stamp.size
    try:
        record = prove(engine_path, evidence, policy, sha256=sha256, size=size)
        return Proof(record=record, sha256=sha256, stamp=stamp)
    except SigningError as error:  # a key or `cryptography` is missing: no signature can be checked
        refusal = Refusal(reason=InvalidSignatureError.reason, detail=error.message, sha256=sha256, stamp=stamp)
    except VerificationError as error:
        refusal = Refusal(reason=error.reason, detail=error.detail, sha256=sha256, stamp=stamp)
    with suppress(VerificationError):  # returns the record if only the signature was refused
        return replace(refusal, record=prove(engine_path, evidence, SigningPolicy(), sha256=sha256, size=size))
    return refusal


def _under_another_name(engine_path: Path) -> str:
    """Describe how the wanted engine differs from the nearest one on disk; "" if there is none."""
    wanted = EngineFilenameSchema.parse(engine_path)
    found: list[EngineName] = []
    with suppress(OSError):
        for path in engine_path.parent.glob(f"{wanted.model_name}__*{ENGINE_SUFFIX}"):
            with suppress(InvalidEngineNameError):
                found.append(EngineFilenameSchema.parse(path))
    nearest = max(found, key=lambda name: similarity(name, wanted), default=wanted)
    return "; ".join(map(describe, name_differences(nearest, wanted)))


def _current_digests(target: EngineTarget, record: BuildRecord, sources: SourceDigests) -> dict[str, str]:
    """Return the SHA-256 of each source, in hex, by role. Each file is read at most once. Raises SourceError.

    The ONNX is searched for external data only if it differs from the recorded one.
    """
    sha256 = cache(sources.sha256)
    recorded = {d["name"]: d["digest"]["sha256"] for d in record.definition["resolvedDependencies"]}
    known = record.external_data() if recorded.get("onnx") == sha256(target.onnx_path) else None
    return {role: sha256(path) for role, path in source_files(target, known).items()}
