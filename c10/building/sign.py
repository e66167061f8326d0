"""Signs build records."""

from __future__ import annotations

from pathlib import Path

from c10.errors import InvalidSignatureError, SigningError, VerificationError
from c10.files.locks import held, lock_path
from c10.files.naming import EnginePaths
from c10.files.publish import publish
from c10.proof.record import read_record_bytes
from c10.proof.verdict import Refusal, check_bytes
from c10.signing.check import trusted
from c10.signing.envelope import Envelope, Signature, read_envelope, signed_bytes
from c10.signing.keys import PrivateKey, load_private_key
from c10.signing.policy import KEY_VARIABLE, SigningPolicy


def open_signing_key(policy: SigningPolicy) -> PrivateKey | None:
    """Return the key that engines built here are signed with; None where they are not signed.

    Raises SigningError where the policy asks for signatures and this machine could not make one that counts.
    """
    if policy.private_key is None:
        if policy.require_signature:
            raise SigningError(
                "signing: expected a private key, as require_signature asks for signed engines, found none",
                remedy=f"Set private_key in [signing] or {KEY_VARIABLE}, or install engines that are already signed.",
            )
        return None
    key = load_private_key(policy.private_key)
    if key.public.keyid in policy.revoked:
        raise SigningError(f"{policy.private_key}: expected a key to sign with, got one that is revoked")
    if key.public.keyid not in trusted(policy):
        raise SigningError(
            f"{policy.private_key}: expected a key among trusted_keys, got {key.public.keyid[:12]}…, a stranger",
            remedy="Add its public key to trusted_keys: what it signs would be built anew in each run.",
        )
    return key


def sign_record(record: bytes, key: PrivateKey) -> bytes:
    """Return the envelope of a record, with one signature."""
    return Envelope(record, (_sign(record, key),)).to_json()


def sign_engine(engine_path: str | Path, private_key: str | Path) -> None:
    """Add a signature to an engine that is intact, or replace the same key's; others' signatures stay.

    It says "I vouch for this engine": whoever calls it has to know where the engine came from. Raises
    VerificationError where engine, sidecar and record do not agree, SigningError and PublishError.
    """
    engine_path = Path(engine_path)
    paths = EnginePaths.of(engine_path)
    key = load_private_key(Path(private_key))
    with held(lock_path(engine_path)):
        verdict = check_bytes(engine_path)
        if isinstance(verdict, Refusal):
            raise VerificationError(f"{engine_path}: expected an intact engine to sign, got: {verdict}")
        record = read_record_bytes(paths.record)
        others = tuple(s for s in _signatures(paths, record) if s.keyid != key.public.keyid)
        publish(paths.envelope, Envelope(record, (*others, _sign(record, key))).to_json())


def _signatures(paths: EnginePaths, record: bytes) -> tuple[Signature, ...]:
    try:
        envelope = read_envelope(paths.envelope)
    except (FileNotFoundError, InvalidSignatureError):
        return ()
    return envelope.signatures if envelope.payload == record else ()


def _sign(record: bytes, key: PrivateKey) -> Signature:
    return Signature(key.public.keyid, key.sign(signed_bytes(record)))
