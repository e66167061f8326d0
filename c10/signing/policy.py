"""Whose engines are trusted, and with what this machine signs: plain data."""

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
    """The ``[signing]`` table; keys are PEM files. Raises ConfigError where its values make no policy.

    ``require_signature``: an engine without a signature of a trusted key is neither reused nor loaded. Without
    it a signature may be absent, and one that is there has to be right. ``revoked`` holds key ids and engines'
    digests. Where no key is trusted by name, the private key's own signatures are.
    """

    require_signature: bool = False
    trusted_keys: tuple[Path, ...] = ()
    revoked: tuple[str, ...] = ()
    private_key: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "trusted_keys", tuple(Path(path) for path in self.trusted_keys))
        object.__setattr__(self, "revoked", tuple(self.revoked))
        if self.require_signature and not self.trusted_keys:
            raise ConfigError("trusted_keys: expected at least one key where signatures are required, got none")
        for entry in self.revoked:
            if not is_revocable(entry):
                raise ConfigError(f"revoked: expected key ids and digests of 64 hex digits, got {entry[:100]!r}")

    @property
    def expects_signature(self) -> bool:
        """Whether every engine has an envelope: where it is asked for, and where this machine signs."""
        return self.require_signature or self.private_key is not None

    @property
    def looks_at_signatures(self) -> bool:
        """Whether an envelope that is there has to be right."""
        return self.expects_signature or bool(self.trusted_keys)

    def with_environment(self) -> SigningPolicy:
        """Return the policy with the private key that the environment names, where it names one."""
        path = os.environ.get(KEY_VARIABLE)
        return replace(self, private_key=Path(path)) if path else self


def is_revocable(text: str) -> bool:
    """Whether this can stand in the list of what is revoked: a key id, or an engine's digest."""
    return HEX_DIGEST.fullmatch(text) is not None
