"""Ed25519 keys as a user makes them: with openssl, in PEM files."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KeyPair:
    private: Path
    public: Path

    @property
    def keyid(self) -> str:
        """Return the SHA-256 of the DER SubjectPublicKeyInfo, as openssl writes it."""
        return hashlib.sha256(openssl("pkey", "-pubin", "-in", str(self.public), "-outform", "DER")).hexdigest()


def openssl(*arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def make_keys(folder: Path, name: str, algorithm: str = "ed25519") -> KeyPair:
    folder.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    openssl("genpkey", "-algorithm", algorithm, "-out", str(pair.private))
    openssl("pkey", "-in", str(pair.private), "-pubout", "-out", str(pair.public))
    return pair
