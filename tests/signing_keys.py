"""Ed25519 keys that a test signs records with, made without a subprocess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from c10.signing.envelope import Envelope, Signature, signed_bytes
from c10.signing.keys import PrivateKey, load_private_key


@dataclass(frozen=True)
class Key:
    """A key that signs, and where its public half lies."""

    private: PrivateKey
    public: Path

    @property
    def keyid(self) -> str:
        return self.private.public.keyid

    def sign(self, record: bytes) -> bytes:
        return Envelope(record, (Signature(self.keyid, self.private.sign(signed_bytes(record))),)).to_json()


def make_key(folder: Path, name: str) -> Key:
    key, private, public = Ed25519PrivateKey.generate(), folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Key(load_private_key(private), public)
