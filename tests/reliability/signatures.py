"""Is an engine signed as a policy asks? Answered in the tests' own way, from the text of DSSE."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from c10 import SigningPolicy


def as_toml(policy: SigningPolicy) -> list[str]:
    """Return the lines of backbones.toml that ask for this policy; none for none."""
    if policy == SigningPolicy():
        return []
    trusted = ", ".join(f"'{key}'" for key in policy.trusted_keys)
    lines = [
        f"signing.require_signature = {str(policy.require_signature).lower()}",
        f"signing.trusted_keys = [{trusted}]",
    ]
    return lines + ([f"signing.private_key = '{policy.private_key}'"] if policy.private_key else [])


def problem_of(envelope: Path, record: bytes, policy: SigningPolicy) -> str:
    """Return what is wrong with the signature of a record; empty where nothing is."""
    if not envelope.exists():
        return "it is not signed" if policy.require_signature or policy.private_key else ""
    if not policy.trusted_keys:
        return ""
    try:
        document = json.loads(envelope.read_bytes())
    except ValueError:
        return "the signature is not whole"
    if base64.b64decode(document["payload"]) != record:
        return "the signature is of another record"
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(record) + record
    signatures = [base64.b64decode(entry["sig"]) for entry in document["signatures"]]
    if not any(_verifies(key, signature, signed) for key in policy.trusted_keys for signature in signatures):
        return "it is signed by nobody who is trusted"
    return ""


def _verifies(public: Path, signature: bytes, signed: bytes) -> bool:
    key = load_pem_public_key(public.read_bytes())
    try:
        key.verify(signature, signed)  # type: ignore[call-arg, union-attr] # an Ed25519 key, as the tests make them
    except InvalidSignature:
        return False
    return True
