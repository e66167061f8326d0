"""Checks an engine's signature against a policy."""

from __future__ import annotations

from pathlib import Path

from c10.errors import (
    InvalidSignatureError,
    MissingSignatureError,
    RevokedSignatureError,
    UntrustedSignatureError,
)
from c10.files.naming import EnginePaths
from c10.signing.envelope import Envelope, Signature, parse_envelope, signed_bytes
from c10.signing.keys import PublicKey, load_private_key, load_public_key
from c10.signing.policy import SigningPolicy


def check_signature(
    engine_path: Path,
    record: bytes,
    envelope: bytes | InvalidSignatureError | None,
    policy: SigningPolicy,
    *,
    sha256: str,
) -> None:
    """Raise if the policy does not allow an engine whose record has these bytes and names the digest ``sha256``.

    ``envelope`` is the envelope's bytes, None if there is none, or the error from reading it. Only the policy's
    keys are read from disk; ``engine_path`` appears in messages. Raises MissingSignatureError,
    InvalidSignatureError, UntrustedSignatureError, RevokedSignatureError, and SigningError if a key or `cryptography`
    is missing or unusable.
    """
    if sha256 in policy.revoked:
        raise RevokedSignatureError(f"{engine_path}: its digest {sha256[:12]}… is revoked")
    if not policy.looks_at_signatures:
        return
    path = EnginePaths.of(engine_path).envelope
    if isinstance(envelope, InvalidSignatureError):
        raise envelope
    if envelope is None:
        if policy.expects_signature:
            raise MissingSignatureError(f"{path}: expected a signature, found none")
        return
    parsed = parse_envelope(envelope, path)
    if parsed.payload != record:
        raise InvalidSignatureError(f"{path}: expected a signature of the build record, got one of another record")
    _check_signers(path, parsed, policy)


def trusted(policy: SigningPolicy) -> dict[str, PublicKey]:
    """Return the keys whose signatures count, by key id. Raises SigningError."""
    keys = [load_public_key(path) for path in policy.trusted_keys]
    if not keys and policy.private_key is not None:
        keys = [load_private_key(policy.private_key).public]
    return {key.keyid: key for key in keys}


def _check_signers(path: Path, envelope: Envelope, policy: SigningPolicy) -> None:
    keys, data = trusted(policy), signed_bytes(envelope.payload)
    good: list[Signature] = []
    for signature in envelope.signatures:
        key = keys.get(signature.keyid)
        if key is None or signature.keyid in policy.revoked:
            continue
        if not key.verifies(data, signature.sig):
            raise InvalidSignatureError(f"{path}: expected a signature of {key.name}, got one that does not verify")
        good.append(signature)
    if good:
        return
    signers = ", ".join(f"{s.keyid[:12]}…" for s in envelope.signatures) or "nobody"
    if any(s.keyid in policy.revoked for s in envelope.signatures):
        raise RevokedSignatureError(f"{path}: signed by a key that is revoked ({signers})")
    raise UntrustedSignatureError(f"{path}: expected a signature of a trusted key, got one of {signers}")
