"""Lists each directory once and reads each engine once per command, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from c10.cache.inventory import Finding, Inventory, cache_directories, examine, take_inventory
from c10.files.ahead import DigestAhead
from c10.files.digest import FileDigest, FileStamp
from c10.signing.policy import SigningPolicy


class EngineReader:
    """Computes digests of engines, and reads an engine a second time only if it may have changed."""

    def __init__(self, signing: SigningPolicy | None = None) -> None:
        self._signing = signing
        self._ahead = DigestAhead()
        self._known: dict[Path, FileDigest] = {}

    def digest(self, engine_path: Path) -> FileDigest:
        """Return the digest of the engine's bytes as they are now. Raises OSError."""
        place = Path(os.path.realpath(engine_path))  # before Python 3.13 Path.resolve raises RuntimeError for a loop
        known = self._known.get(place)
        if known is None or not known.is_of(FileStamp.of(engine_path.stat())):
            known = self._known[place] = self._ahead.digest(engine_path)
        return known

    def examine(self, inventories: Iterable[Inventory]) -> list[Finding]:
        """Read every engine of these directories and return a finding for each, in order."""
        stored = [engine for inventory in inventories for engine in inventory.engines]
        self._ahead.prefetch(e.engine_path for e in stored if e.engine_path in e.files)
        return [examine(engine, self.digest, self._signing) for engine in stored]

    @property
    def bytes_read(self) -> int:
        """Total size in bytes of the engines whose digest is known."""
        return sum(digest.stamp.size for digest in self._known.values())


def cache_inventories(cache_root: Path) -> list[Inventory]:
    """List the existing directories of a cache_root; [] before the first build. Raises C10Error."""
    return take_inventories(directory for directory in cache_directories(cache_root) if not is_missing(directory))


def take_inventories(directories: Iterable[Path]) -> list[Inventory]:
    """List each directory once, even if it is named twice or reached through a link. Raises C10Error."""
    places: dict[str, Path] = {}
    for directory in directories:
        places.setdefault(os.path.realpath(directory), directory)
    return [take_inventory(directory) for directory in places.values()]


def is_missing(path: Path) -> bool:
    """Whether nothing exists at ``path``. Returns False if its stat fails; opening it then gives the error."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
