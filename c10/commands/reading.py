"""Engines read once a command, on all cores. May import digest, inventory, policy, signing and verification."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from c10.cache.inventory import Finding, Inventory, examine
from c10.corpus.policy import SigningPolicy
from c10.files.digest import FileDigest, FileSignature
from c10.proof.verification import EngineVerifier


class EngineReader:
    """Digests of engines; one that is asked for twice is read twice only where it changed meanwhile."""

    def __init__(self, signing: SigningPolicy | None = None) -> None:
        self._signing = signing
        self._verifier = EngineVerifier()
        self._known: dict[Path, FileDigest] = {}

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest of the engine's bytes as they are now. Raises OSError."""
        place = Path(os.path.realpath(engine_path))  # Path.resolve raises RuntimeError of a loop before Python 3.13
        known = self._known.get(place)
        if known is None or FileSignature.of(engine_path.stat()) != known.signature:
            known = self._known[place] = self._verifier.digest(engine_path)
        return known

    def examine(self, inventories: Iterable[Inventory]) -> list[Finding]:
        """Read every engine of these directories."""
        stored = [engine for inventory in inventories for engine in inventory.engines]
        self._verifier.prefetch(e.engine_path for e in stored if e.engine_path in e.files)
        return [examine(engine, self.digest, self._signing) for engine in stored]

    @property
    def bytes_read(self) -> int:
        """How many bytes were hashed and are still as they were."""
        return sum(digest.signature.size for digest in self._known.values())
