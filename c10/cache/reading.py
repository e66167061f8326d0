"""Directories listed once and engines read once a command, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from c10.cache.inventory import Finding, Inventory, cache_directories, examine, take_inventory
from c10.files.ahead import DigestAhead
from c10.files.digest import FileDigest, FileStamp
from c10.signing.policy import SigningPolicy


class EngineReader:
    """Digests of engines; an engine that is asked for twice is read twice only if it may have changed."""

    def __init__(self, signing: SigningPolicy | None = None) -> None:
        self._signing = signing
        self._verifier = DigestAhead()
        self._known: dict[Path, FileDigest] = {}

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest of the engine's bytes as they are now. Raises OSError."""
        place = Path(os.path.realpath(engine_path))  # Path.resolve raises RuntimeError of a loop before Python 3.13
        known = self._known.get(place)
        if known is None or not known.is_of(FileStamp.of(engine_path.stat())):
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
        return sum(digest.stamp.size for digest in self._known.values())


def cache_inventories(cache_root: Path) -> list[Inventory]:
    """List the directories that a cache_root stands for: of a cold one none. Raises C10Error."""
    return take_inventories(directory for directory in cache_directories(cache_root) if not is_missing(directory))


def take_inventories(directories: Iterable[Path]) -> list[Inventory]:
    """List each directory once, though it is named twice or a link leads to it. Raises C10Error."""
    places: dict[str, Path] = {}
    for directory in directories:
        places.setdefault(os.path.realpath(directory), directory)
    return [take_inventory(directory) for directory in places.values()]


def is_missing(path: Path) -> bool:
    """Whether nothing is there; where that may not be looked up, whoever opens it is told why."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
