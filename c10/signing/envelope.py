"""The DSSE envelope: a build record and the signatures over it.

https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md), version 1; the payload is the record's
bytes exactly as they are on disk. An envelope is accepted only byte for byte as c10 would write it, so neither
payload nor wrapping can be altered.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c10.errors import InvalidSignatureError
from c10.files.digest import HEX_DIGEST, read_regular

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
SIGNATURE_BYTES: Final = 64  # RFC 8032, 5.1.6
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_ENVELOPE_MAX: Final = 8 << 20  # bytes: the largest record in base64, and signatures


@dataclass(frozen=True, slots=True)
class Signature:
    """One Ed25519 signature."""

    keyid: str
    """SHA-256, in hex, of the public key's DER SubjectPublicKeyInfo."""
    sig: bytes
    """The signature itself: 64 bytes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A build record and the signatures over it."""

    payload: bytes
    """The record's bytes."""
    signatures: tuple[Signature, ...]
    """At most one for each key, in the order of the file."""

    def to_json(self) -> bytes:
        """Return the envelope's bytes, the only form that is accepted on reading."""
        envelope = {
            "payloadType": PAYLOAD_TYPE,
            "payload": _encode(self.payload),
            "signatures": [{"keyid": s.keyid, "sig": _encode(s.sig)} for s in self.signatures],
        }
        return json.dumps(envelope, indent=2).encode() + b"\n"


def signed_bytes(payload: bytes) -> bytes:
    """Return the bytes to sign: DSSE's pre-authentication encoding of the payload and its type."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def read_envelope(path: Path) -> Envelope:
    """Read an envelope. Raises FileNotFoundError, and InvalidSignatureError if it is not an envelope."""
    return parse_envelope(read_envelope_bytes(path), path)


def read_envelope_bytes(path: Path) -> bytes:
    """Return the bytes of an envelope, unchecked. Raises FileNotFoundError and InvalidSignatureError."""
    try:
        return read_regular(path, _ENVELOPE_MAX)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidSignatureError(f"{path}: expected a readable signature, got {error}") from error


def parse_envelope(content: bytes, path: Path) -> Envelope:
    """Parse an envelope. Raises InvalidSignatureError, whose message names ``path``."""
    try:
        envelope = _parse(content)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise InvalidSignatureError(f"{path}: expected a DSSE envelope, got {reason}") from error
    return envelope


def _parse(content: bytes) -> Envelope:
    if len(content) > _ENVELOPE_MAX:
        raise ValueError(f"expected at most {_ENVELOPE_MAX} bytes")
    document = json.loads(content)
    signatures = tuple(Signature(s["keyid"], _decode(s["sig"])) for s in document["signatures"])
    envelope = Envelope(_decode(document["payload"]), signatures)
    if any(HEX_DIGEST.fullmatch(s.keyid) is None or len(s.sig) != SIGNATURE_BYTES for s in signatures):
        raise ValueError("expected Ed25519 signatures with the SHA-256 of their keys")
    if len({s.keyid for s in signatures}) < len(signatures):
        raise ValueError("expected one signature per key")
    if envelope.to_json() != content:
        raise ValueError("expected the bytes that c10 would write for these signatures")
    return envelope


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    if _BASE64.fullmatch(text) is None:
        raise ValueError("expected base64")
    return base64.b64decode(text, validate=True)
