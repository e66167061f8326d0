"""Which signatures are trusted and which key this machine signs with, as plain data."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from c10.errors import ConfigError
from c10.files.digest import HEX_DIGEST

KEY_VARIABLE: Final = "C10_SIGNING_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPolicy:
    """The ``[signing]`` table. Raises ConfigError if its values contradict each other."""

    require_signature: bool = False
    """An engine without a trusted key's signature is neither reused nor loaded.

    If false, an engine may be unsigned unless ``private_key`` is set; with trusted or private keys, an existing
    signature has to be valid.
    """
    trusted_keys: tuple[Path, ...] = ()
    """PEM files of public keys. If empty, the private key's own signatures are trusted."""
    revoked: tuple[str, ...] = ()
    """Key ids and engines' SHA-256 digests, each 64 hex digits."""
    private_key: Path | None = None
    """PEM file of the key that signs new engines; None: engines are not signed here."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "trusted_keys", tuple(Path(path) for path in self.trusted_keys))
        object.__setattr__(self, "revoked", tuple(self.revoked))
        if self.require_signature and not self.trusted_keys:
            raise ConfigError("trusted_keys: expected at least one key, because require_signature is true, got none")
        for entry in self.revoked:
            if not is_revocable(entry):
                raise ConfigError(f"revoked: expected key ids and digests of 64 hex digits, got {entry[:100]!r}")

    @property
    def expects_signature(self) -> bool:
        """Whether an engine without an envelope is refused: signatures are required, or this machine signs."""
        return self.require_signature or self.private_key is not None

    @property
    def looks_at_signatures(self) -> bool:
        """Whether an existing envelope is checked."""
        return self.expects_signature or bool(self.trusted_keys)

    def with_environment(self) -> SigningPolicy:
        """Return the policy with the private key named by ``C10_SIGNING_KEY``; unchanged if the variable is not set."""
        path = os.environ.get(KEY_VARIABLE)
        return replace(self, private_key=Path(path)) if path else self


def is_revocable(text: str) -> bool:
    """Whether ``text`` has the form of a key id or an engine's digest: 64 hex digits."""
    return HEX_DIGEST.fullmatch(text) is not None
