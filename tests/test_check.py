"""What prove() lets pass and what it raises, in memory: no file of an engine is written or read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from signing_keys import Key, make_key

from c10 import errors
from c10.errors import (
    DigestMismatchError,
    InvalidRecordError,
    InvalidSidecarError,
    InvalidSignatureError,
    MissingRecordError,
    MissingSidecarError,
    MissingSignatureError,
    Reason,
    RecordMismatchError,
    RevokedSignatureError,
    SigningError,
    UntrustedSignatureError,
    VerificationError,
)
from c10.proof.check import prove, prove_before_reading, refuse_other_bytes
from c10.proof.definition import build_key
from c10.proof.evidence import Evidence, read_evidence
from c10.proof.record import BuildRecord
from c10.signing.envelope import Envelope, Signature, signed_bytes
from c10.signing.policy import SigningPolicy

ENGINE = Path("nowhere/model__sm87_jp6.2_trt10.3_fp16.engine")
OTHER_NAME = "other__sm87_jp6.2_trt10.3_fp16.engine"
DATA, OTHER_DATA = b"an engine" * 7, b"another engine"
SHA256, OTHER_SHA256 = hashlib.sha256(DATA).hexdigest(), hashlib.sha256(OTHER_DATA).hexdigest()
DEFINITION = {
    "buildType": "urn:c10:engine:v1",
    "externalParameters": {
        "model_name": "model",
        "precision": "fp16",
        "workspace_mb": 4096,
        "profiles": [],
        "options": {},
    },
    "internalParameters": {"runtime": {}, "host": {}, "environment": {}},
    "resolvedDependencies": [{"name": "onnx", "digest": {"sha256": "0" * 64}}],
}
UNSIGNED = SigningPolicy()


@dataclass(frozen=True)
class Case:
    """What is given to prove(): at first an engine with which everything is right, signed by ``builder``."""

    evidence: Evidence
    policy: SigningPolicy
    sha256: str = SHA256
    size: int = len(DATA)
    path: Path = ENGINE

    def having(self, **evidence: Any) -> Case:
        return replace(self, evidence=replace(self.evidence, **evidence))

    def trusting(self, policy: SigningPolicy) -> Case:
        return replace(self, policy=policy)

    def signed_by(self, key: Key) -> Case:
        assert isinstance(self.evidence.record, bytes)
        return self.having(envelope=key.sign(self.evidence.record))

    def prove(self) -> BuildRecord:
        return prove(self.path, self.evidence, self.policy, sha256=self.sha256, size=self.size)

    def prove_before_reading(self) -> BuildRecord:
        return prove_before_reading(self.path, self.evidence, self.policy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def builder(folder: Path) -> Key:
    return make_key(folder, "builder")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Key:
    return make_key(folder, "stranger")


def record_of(*, name: str = ENGINE.name, sha256: str = SHA256, size: int = len(DATA)) -> BuildRecord:
    return BuildRecord(
        engine_name=name,
        sha256=sha256,
        size=size,
        definition=DEFINITION,
        build_key=build_key(DEFINITION),
        compile_duration_s=1.0,
        started_on="2026-01-01T00:00:00+00:00",
        finished_on="2026-01-01T00:00:01+00:00",
    )


RECORD = record_of().to_json()


def sidecar_of(sha256: str, name: str = ENGINE.name) -> bytes:
    return f"{sha256}  {name}\n".encode()


@pytest.fixture
def right(builder: Key) -> Case:
    evidence = Evidence(sidecar=sidecar_of(SHA256), record=RECORD, envelope=builder.sign(RECORD))
    return Case(evidence, SigningPolicy(require_signature=True, trusted_keys=(builder.public,)))


@pytest.fixture
def unsigned(right: Case) -> Case:
    return right.having(envelope=None).trusting(UNSIGNED)


def refused(case: Case, kind: type[VerificationError], reason: Reason) -> VerificationError:
    """Expect prove() to raise this very class, and return the error."""
    with pytest.raises(VerificationError) as caught:
        case.prove()
    assert type(caught.value) is kind, repr(caught.value)
    assert caught.value.reason == reason
    return caught.value


def test_what_agrees_and_is_signed_is_proved(right: Case) -> None:
    assert right.prove() == right.prove_before_reading() == record_of()


def test_what_agrees_is_proved_where_no_signature_is_asked_for(unsigned: Case) -> None:
    assert unsigned.prove() == unsigned.prove_before_reading() == record_of()


def test_a_bare_digest_is_a_sidecar_too(right: Case) -> None:
    assert right.having(sidecar=SHA256.encode()).prove() == record_of()


def json_without(content: bytes, *keys: str) -> bytes:
    document = json.loads(content)
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return json.dumps(document).encode()


#: What disagrees → the evidence that differs from the right one, and the error with its reason.
EVIDENCE: dict[str, tuple[dict[str, Any], type[VerificationError], Reason]] = {
    "no sidecar": ({"sidecar": MissingSidecarError("x")}, MissingSidecarError, "sidecar_missing"),
    "sidecar unreadable": ({"sidecar": InvalidSidecarError("x")}, InvalidSidecarError, "sidecar_malformed"),
    "sidecar empty": ({"sidecar": b""}, InvalidSidecarError, "sidecar_malformed"),
    "sidecar cut short": ({"sidecar": sidecar_of(SHA256)[:40]}, InvalidSidecarError, "sidecar_malformed"),
    "sidecar in capitals": ({"sidecar": sidecar_of(SHA256.upper())}, InvalidSidecarError, "sidecar_malformed"),
    "sidecar of another engine": (
        {"sidecar": sidecar_of(SHA256, OTHER_NAME)},
        InvalidSidecarError,
        "sidecar_malformed",
    ),
    "sidecar of other bytes": ({"sidecar": sidecar_of(OTHER_SHA256)}, DigestMismatchError, "digest_mismatch"),
    "sidecar of zeros": ({"sidecar": sidecar_of("0" * 64)}, DigestMismatchError, "digest_mismatch"),
    "no record": ({"record": MissingRecordError("x")}, MissingRecordError, "record_missing"),
    "record unreadable": ({"record": InvalidRecordError("x")}, InvalidRecordError, "record_unreadable"),
    "record empty": ({"record": b""}, InvalidRecordError, "record_unreadable"),
    "record cut short": ({"record": RECORD[:-40]}, InvalidRecordError, "record_unreadable"),
    "record not whole": ({"record": json_without(RECORD, "subject")}, InvalidRecordError, "record_unreadable"),
    "record without its key": (
        {"record": json_without(RECORD, "predicate", "c10_build_key")},
        InvalidRecordError,
        "record_unreadable",
    ),
    "record of another name": (
        {"record": record_of(name=OTHER_NAME).to_json()},
        RecordMismatchError,
        "record_mismatch",
    ),
    "record of other bytes": (
        {"record": record_of(sha256=OTHER_SHA256).to_json()},
        RecordMismatchError,
        "record_mismatch",
    ),
    "record of another size": (
        {"record": record_of(size=len(DATA) + 1).to_json()},
        RecordMismatchError,
        "record_mismatch",
    ),
}


@pytest.mark.parametrize("what", EVIDENCE)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_evidence_that_disagrees_is_refused(
    right: Case, unsigned: Case, builder: Key, what: str, *, signed: bool
) -> None:
    evidence, kind, reason = EVIDENCE[what]
    case = (right if signed else unsigned).having(**evidence)
    if signed and isinstance(case.evidence.record, bytes):
        case = case.signed_by(builder)  # a signature of the wrong record mends nothing
    refused(case, kind, reason)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"sha256": OTHER_SHA256, "size": len(OTHER_DATA)}, DigestMismatchError, "digest_mismatch"),
        ({"sha256": ""}, DigestMismatchError, "digest_mismatch"),
        ({"size": len(DATA) - 1}, RecordMismatchError, "record_mismatch"),
        ({"size": 0}, RecordMismatchError, "record_mismatch"),
        ({"path": ENGINE.with_name(OTHER_NAME)}, InvalidSidecarError, "sidecar_malformed"),
    ],
    ids=["other bytes", "no digest", "shorter", "empty", "another name"],
)
def test_an_engine_that_is_another_is_refused(
    right: Case, change: dict[str, Any], kind: type[VerificationError], reason: Reason
) -> None:
    refused(replace(right, **change), kind, reason)


def test_an_engine_renamed_under_a_bare_digest_is_refused_for_its_record(right: Case) -> None:
    renamed = replace(right, path=ENGINE.with_name(OTHER_NAME)).having(sidecar=SHA256.encode())
    error = refused(renamed, RecordMismatchError, "record_mismatch")
    assert error.detail == f"of {ENGINE.name}"


_Change = Callable[[Case, Key, Key], Case]


def _changed_signature(case: Case, _builder: Key, _stranger: Key) -> Case:
    assert isinstance(case.evidence.envelope, bytes)
    document = json.loads(case.evidence.envelope)
    signature = document["signatures"][0]
    signature["sig"] = ("B" if signature["sig"][0] == "A" else "A") + signature["sig"][1:]
    return case.having(envelope=json.dumps(document, indent=2).encode() + b"\n")


def _strangers_signature_under_the_builders_keyid(case: Case, builder: Key, stranger: Key) -> Case:
    signature = Signature(builder.keyid, stranger.private.sign(signed_bytes(RECORD)))
    return case.having(envelope=Envelope(RECORD, (signature,)).to_json())


def _revoking(case: Case, entry: str) -> Case:
    return case.trusting(replace(case.policy, revoked=(entry,)))


#: What is wrong with the signature of an engine that is otherwise right.
SIGNATURES: dict[str, tuple[_Change, type[VerificationError], Reason]] = {
    "none": (lambda c, _b, _s: c.having(envelope=None), MissingSignatureError, "signature_missing"),
    "unreadable": (
        lambda c, _b, _s: c.having(envelope=InvalidSignatureError("x")),
        InvalidSignatureError,
        "signature_invalid",
    ),
    "empty": (lambda c, _b, _s: c.having(envelope=b""), InvalidSignatureError, "signature_invalid"),
    "the record itself": (lambda c, _b, _s: c.having(envelope=RECORD), InvalidSignatureError, "signature_invalid"),
    "of another record": (
        lambda c, b, _s: c.having(envelope=b.sign(record_of(sha256=OTHER_SHA256).to_json())),
        InvalidSignatureError,
        "signature_invalid",
    ),
    "of the record with another white space": (
        lambda c, b, _s: c.having(envelope=b.sign(RECORD.rstrip())),
        InvalidSignatureError,
        "signature_invalid",
    ),
    "changed": (_changed_signature, InvalidSignatureError, "signature_invalid"),
    "forged": (_strangers_signature_under_the_builders_keyid, InvalidSignatureError, "signature_invalid"),
    "a stranger's": (lambda c, _b, s: c.signed_by(s), UntrustedSignatureError, "signature_untrusted"),
    "nobody's": (
        lambda c, _b, _s: c.having(envelope=Envelope(RECORD, ()).to_json()),
        UntrustedSignatureError,
        "signature_untrusted",
    ),
    "a revoked key's": (lambda c, b, _s: _revoking(c, b.keyid), RevokedSignatureError, "signature_revoked"),
    "of a revoked engine": (lambda c, _b, _s: _revoking(c, SHA256), RevokedSignatureError, "signature_revoked"),
}


@pytest.mark.parametrize("what", SIGNATURES)
def test_a_signature_that_does_not_count_is_refused(right: Case, builder: Key, stranger: Key, what: str) -> None:
    change, kind, reason = SIGNATURES[what]
    case = change(right, builder, stranger)
    refused(case, kind, reason)
    with pytest.raises(kind):
        case.prove_before_reading()


@pytest.mark.parametrize(
    "what", [what for what, (_, kind, _) in SIGNATURES.items() if kind is not RevokedSignatureError]
)
def test_no_signature_is_looked_at_where_the_policy_names_no_key(
    right: Case, builder: Key, stranger: Key, what: str
) -> None:
    change = SIGNATURES[what][0]
    assert change(right, builder, stranger).trusting(UNSIGNED).prove() == record_of()


def test_a_signature_that_is_not_required_may_be_absent_and_not_wrong(right: Case, builder: Key, stranger: Key) -> None:
    case = right.trusting(SigningPolicy(trusted_keys=(builder.public,)))
    assert case.having(envelope=None).prove() == record_of()
    refused(case.signed_by(stranger), UntrustedSignatureError, "signature_untrusted")


def test_a_revoked_engine_is_refused_where_no_signature_is_asked_for(unsigned: Case) -> None:
    refused(unsigned.trusting(SigningPolicy(revoked=(SHA256,))), RevokedSignatureError, "signature_revoked")


def test_a_revoked_engine_is_told_before_its_missing_signature(right: Case) -> None:
    revoked = _revoking(right, SHA256)
    for envelope in (None, b"", InvalidSignatureError("x")):
        refused(revoked.having(envelope=envelope), RevokedSignatureError, "signature_revoked")


def test_without_the_keys_to_check_with_nothing_is_proved(right: Case, folder: Path) -> None:
    policy = SigningPolicy(require_signature=True, trusted_keys=(folder / "none.pem",))
    with pytest.raises(SigningError, match="expected a public key"):
        right.trusting(policy).prove()


#: All that may be wrong, in the order of the checks: each is told before those that follow.
ORDER: tuple[tuple[dict[str, Any], Reason], ...] = (
    ({"sidecar": InvalidSidecarError("x")}, "sidecar_malformed"),
    ({"sidecar": sidecar_of(OTHER_SHA256)}, "digest_mismatch"),
    ({"record": InvalidRecordError("x")}, "record_unreadable"),
    ({"record": record_of(name=OTHER_NAME).to_json()}, "record_mismatch"),
    ({"envelope": InvalidSignatureError("x")}, "signature_invalid"),
)


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_several_faults_the_first_is_told(right: Case, first: int) -> None:
    case = right
    for evidence, _ in reversed(ORDER[first:]):
        case = case.having(**evidence)
    with pytest.raises(VerificationError) as caught:
        case.prove()
    assert caught.value.reason == ORDER[first][1]


def test_before_it_is_read_an_engine_is_refused_for_all_but_its_bytes(right: Case) -> None:
    other = replace(right, sha256=OTHER_SHA256, size=len(OTHER_DATA))
    record = other.prove_before_reading()
    refuse_other_bytes(ENGINE, record.sha256, SHA256)
    with pytest.raises(DigestMismatchError):
        refuse_other_bytes(ENGINE, record.sha256, OTHER_SHA256)
    swapped = right.having(sidecar=sidecar_of(OTHER_SHA256))
    with pytest.raises(RecordMismatchError, match="expected sidecar and record to agree"):
        swapped.prove_before_reading()


def test_an_envelope_at_the_engines_path_says_nothing_of_bytes_from_elsewhere(right: Case, tmp_path: Path) -> None:
    """A fetched engine without an envelope is unsigned, though an older good envelope is at its place."""
    path = tmp_path / ENGINE.name
    assert isinstance(right.evidence.envelope, bytes)
    Path(f"{path}.dsse.json").write_bytes(right.evidence.envelope)
    refused(replace(right.having(envelope=None), path=path), MissingSignatureError, "signature_missing")


def test_evidence_is_what_is_beside_the_engine(right: Case, tmp_path: Path) -> None:
    path = tmp_path / ENGINE.name
    nothing = read_evidence(path)
    assert isinstance(nothing.sidecar, MissingSidecarError)
    assert isinstance(nothing.record, MissingRecordError)
    assert nothing.envelope is None
    for suffix, content in zip(
        (".sha256", ".json", ".dsse.json"),
        (right.evidence.sidecar, right.evidence.record, right.evidence.envelope),
        strict=True,
    ):
        assert isinstance(content, bytes)
        Path(f"{path}{suffix}").write_bytes(content)
    assert read_evidence(path) == right.evidence
    for suffix in (".sha256", ".json", ".dsse.json"):
        Path(f"{path}{suffix}").unlink()
        Path(f"{path}{suffix}").mkdir()
    unreadable = read_evidence(path)
    assert isinstance(unreadable.sidecar, InvalidSidecarError)
    assert isinstance(unreadable.record, InvalidRecordError)
    assert isinstance(unreadable.envelope, InvalidSignatureError)


VERIFICATION_ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, VerificationError) and kind is not VerificationError
]


@pytest.mark.parametrize("kind", VERIFICATION_ERRORS, ids=lambda kind: kind.__name__)
def test_each_verification_error_has_a_reason_of_its_own(kind: type[VerificationError]) -> None:
    assert "reason" in vars(kind)
    assert kind("message").detail == "message"
