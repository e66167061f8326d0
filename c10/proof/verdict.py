"""May this engine be reused? The one place that answers. May import all that knows neither doit nor a runtime.

Every positive answer has read and hashed every byte of the engine. Nothing here raises for what lies on disk:
whatever is wrong with it is a reason to rebuild.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from c10.corpus.policy import SigningPolicy
from c10.corpus.target import EngineTarget, record_path
from c10.errors import (
    C10Error,
    InvalidEngineNameError,
    InvalidSidecarError,
    MissingSidecarError,
    MissingSignatureError,
    RecordError,
    RevokedSignatureError,
    SourceError,
    UntrustedSignatureError,
)
from c10.files.digest import FileDigest, FileStamp, digest_file
from c10.files.naming import ENGINE_SUFFIX, EngineFilenameSchema, EngineName
from c10.files.sidecar import Sha256Sidecar
from c10.proof.definition import build_definition, build_key, differences, source_files, was_converted
from c10.proof.facts import Difference, describe
from c10.proof.nearest import name_differences, nearness
from c10.proof.record import BuildRecord, parse_record, read_record_bytes
from c10.proof.sources import SourceDigests

Reason = Literal[
    "missing",
    "engine_unreadable",
    "sidecar_missing",
    "sidecar_malformed",
    "digest_mismatch",
    "record_missing",
    "record_unreadable",
    "record_mismatch",
    "signature_missing",
    "signature_invalid",
    "signature_untrusted",
    "signature_revoked",
    "source_unreadable",
    "inputs_changed",
    "forced",
]

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
    "signature_untrusted": "signature_untrusted: the engine is signed by nobody who is trusted",
    "signature_revoked": "signature_revoked: the engine, or the key that signed it, is revoked",
    "source_unreadable": "a source file cannot be read",
    "inputs_changed": "its inputs changed",
    "forced": "asked for",
}

_SIGNATURE_REASONS: dict[type[C10Error], Reason] = {
    MissingSignatureError: "signature_missing",
    UntrustedSignatureError: "signature_untrusted",
    RevokedSignatureError: "signature_revoked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether an engine may be reused, and if not, why. ``record`` is what was found, valid or stale."""

    reason: Reason | None = None
    detail: str = ""
    differences: tuple[Difference, ...] = ()
    record: BuildRecord | None = None
    sha256: str | None = None
    stamp: FileStamp | None = None  # the record's, before anything was read

    @property
    def reusable(self) -> bool:
        """Whether nothing speaks against it."""
        return self.reason is None

    def __str__(self) -> str:
        if self.reason is None:
            return "intact, and built from exactly these inputs"
        if self.differences:
            return "; ".join(describe(difference) for difference in self.differences)
        words = _WORDS[self.reason]
        return f"{words} ({self.detail})" if self.detail else words


def judge(
    target: EngineTarget,
    sources: SourceDigests,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
) -> Verdict:
    """Decide about one engine: its bytes first, then what they were built from."""
    stamp = record_stamp(target)
    return replace(_judge(target, sources, engine_digest), stamp=stamp)


def record_stamp(target: EngineTarget) -> FileStamp | None:
    """Return what stat says of the build record: it changes with every build, and commits it."""
    try:
        return FileStamp.of(target.record_path.stat())
    except OSError:
        return None


def _judge(target: EngineTarget, sources: SourceDigests, engine_digest: Callable[[Path], FileDigest]) -> Verdict:
    intact = check_bytes(target.engine_path, engine_digest, target.signing)
    if intact.reason == "missing" and not intact.detail:
        return replace(intact, detail=_under_another_name(target.engine_path))
    if intact.record is None or not intact.reusable:
        return intact
    record = intact.record
    try:
        digests = _current_digests(target, record, sources)
    except SourceError as error:
        return Verdict(reason="source_unreadable", detail=error.message, record=record)
    definition = build_definition(target, digests, converted=was_converted(record.definition))
    if build_key(definition) == record.build_key:  # the record's key is that of the record's definition
        return intact
    changed = differences(record.definition, definition)
    return Verdict(reason="inputs_changed", differences=changed, record=record)


def check_bytes(
    engine_path: Path,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
    signing: SigningPolicy | None = None,
) -> Verdict:
    """Decide whether engine, sidecar and record agree, and are signed as asked, whatever they were built from."""
    try:
        expected = Sha256Sidecar.read(engine_path)
        actual = engine_digest(engine_path)
    except FileNotFoundError:
        return Verdict(reason="missing")
    except MissingSidecarError:
        return Verdict(reason="sidecar_missing" if _is_there(engine_path) else "missing")
    except InvalidSidecarError as error:
        return Verdict(reason="sidecar_malformed" if _is_there(engine_path) else "missing", detail=error.message)
    except OSError as error:
        return Verdict(reason="engine_unreadable", detail=str(error))
    if actual.sha256 != expected:
        detail = f"{expected[:12]}… → {actual.sha256[:12]}…"
        return Verdict(reason="digest_mismatch", detail=detail, sha256=actual.sha256)
    return _check_record(engine_path, actual, signing or SigningPolicy())


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a directory that may not be searched, a disk that fails
        return True
    return True


def _check_record(engine_path: Path, digest: FileDigest, signing: SigningPolicy) -> Verdict:
    path, sha256 = record_path(engine_path), digest.sha256
    try:
        content = read_record_bytes(path)
        record = parse_record(content, path)
    except FileNotFoundError:
        return Verdict(reason="record_missing", sha256=sha256)
    except RecordError as error:
        return Verdict(reason="record_unreadable", detail=error.message, sha256=sha256)
    recorded = (record.sha256, record.size, record.engine_name)
    if recorded != (sha256, digest.stamp.size, engine_path.name):
        return Verdict(reason="record_mismatch", detail=f"of {record.engine_name}", sha256=sha256)
    if signing == SigningPolicy():
        return Verdict(record=record, sha256=sha256)
    return replace(_check_signature(engine_path, content, sha256, signing), record=record, sha256=sha256)


def _check_signature(engine_path: Path, content: bytes, sha256: str, signing: SigningPolicy) -> Verdict:
    from c10.signing.check import check_signature  # imports cryptography

    try:
        check_signature(engine_path, content, signing, sha256=sha256)
    except C10Error as error:
        return Verdict(reason=_SIGNATURE_REASONS.get(type(error), "signature_invalid"), detail=error.message)
    return Verdict()


def _under_another_name(engine_path: Path) -> str:
    """Say what tells the wanted engine from the likest one of its model that is there; nothing where there is none."""
    wanted = EngineFilenameSchema.parse(engine_path)
    found: list[EngineName] = []
    with suppress(OSError):
        for path in engine_path.parent.glob(f"{wanted.model_name}__*{ENGINE_SUFFIX}"):
            with suppress(InvalidEngineNameError):
                found.append(EngineFilenameSchema.parse(path))
    likest = max(found, key=lambda name: nearness(name, wanted), default=wanted)
    return "; ".join(map(describe, name_differences(likest, wanted)))


def _current_digests(target: EngineTarget, record: BuildRecord, sources: SourceDigests) -> dict[str, str]:
    """Return the SHA-256 of each source, in hex, by role. Each file is read at most once. Raises SourceError.

    The ONNX is searched for external data only if it differs from the recorded one.
    """
    sha256 = cache(sources.sha256)
    recorded = {d["name"]: d["digest"]["sha256"] for d in record.definition["resolvedDependencies"]}
    known = record.external_data() if recorded.get("onnx") == sha256(target.onnx_path) else None
    return {role: sha256(path) for role, path in source_files(target, known).items()}
