"""Ed25519 keys in PEM files, in the form that openssl writes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from c10.errors import SigningError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_MAKE: Final = "Make one with: openssl genpkey -algorithm ed25519"
_PEM_MAX: Final = 1 << 16  # bytes; an Ed25519 key has 120


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key."""

    keyid: str
    """SHA-256, in hex, of the key's DER SubjectPublicKeyInfo."""
    name: str
    """Name of the file that the key was read from, for messages."""
    _key: Ed25519PublicKey

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's signature of ``data``."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An Ed25519 private key."""

    public: PublicKey
    """The public key that verifies its signatures."""
    _key: Ed25519PrivateKey

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``: 64 bytes."""
        return self._key.sign(data)


def load_public_key(path: Path) -> PublicKey:
    """Read a public key. Raises SigningError."""
    serialization, ed25519 = _cryptography()
    content = _read(path, "a public key")
    try:
        key = serialization.load_pem_public_key(content)
    except Exception as error:
        raise SigningError(
            f"{path}: expected an Ed25519 public key in PEM, got {_words(error)}",
            remedy="Take it out of the private key with: openssl pkey -in private.pem -pubout",
        ) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise SigningError(f"{path}: expected an Ed25519 public key, got {type(key).__name__}", remedy=_MAKE)
    return _public(key, path)


def load_private_key(path: Path) -> PrivateKey:
    """Read a private key. An encrypted key is refused, as a build cannot prompt for a password. Raises SigningError."""
    serialization, ed25519 = _cryptography()
    content = _read(path, "a private key")
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except Exception as error:
        raise SigningError(
            f"{path}: expected an Ed25519 private key in PEM without a password, got {_words(error)}", remedy=_MAKE
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SigningError(f"{path}: expected an Ed25519 private key, got {type(key).__name__}", remedy=_MAKE)
    return PrivateKey(_public(key.public_key(), path), key)


def _public(key: Ed25519PublicKey, path: Path) -> PublicKey:
    serialization, _ = _cryptography()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(hashlib.sha256(der).hexdigest(), path.name, key)


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_PEM_MAX)
    except OSError as error:
        raise SigningError(
            f"{path}: expected {what}, got {error.strerror or error}", remedy="Correct [signing] in backbones.toml."
        ) from error


def _words(error: Exception) -> str:
    return (str(error).partition("\n")[0] or type(error).__name__)[:200]  # contains no key material


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise SigningError(
            f"signatures: expected the Python package cryptography, got {error}",
            remedy="Install it with: pip install 'c10[sign]'",
        ) from error
    return serialization, ed25519
