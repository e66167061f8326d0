"""Checks that the sources of a build were the same before, during and after the compile.

A compiler opens the sources itself, so c10 cannot see what it read. A source with the same stamp and the same
digest before and after the compile is assumed to be the one that was compiled. A source that is replaced and
restored within one tick of the file system's clock during the compile goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from c10.files.digest import FileStamp
from c10.proof.sources import SourceDigests


class SourceSnapshot:
    """The stamps of sources before a compile, and the digests of those whose stamp proves nothing."""

    def __init__(self, sources: SourceDigests) -> None:
        self._sources = sources
        self._stamps: dict[Path, FileStamp] = {}
        self._digests: dict[Path, str] = {}

    def add(self, path: Path) -> None:
        """Note the file as it is now, before it is compiled. Raises SourceError.

        A file that changed in the last two seconds may change again under the same stamp. It is hashed here, and
        once more after the compile; any other file is hashed while the compiler runs.
        """
        if path in self._stamps:
            return
        now_ns = self._sources.clock()
        stamp = self._stamps[path] = self._sources.stamp(path)
        if not stamp.at_rest(now_ns):
            self._digests[path] = self._sources.sha256(path)

    @contextmanager
    def hashing(self) -> Iterator[None]:
        """Hash the sources that are at rest on another core for the length of the block. Raises SourceError."""
        with ThreadPoolExecutor(1) as pool:
            hashed = [pool.submit(self._sources.sha256, path) for path in self._stamps if path not in self._digests]
            yield
            for digest in hashed:
                digest.result()

    def changed(self) -> list[Path]:
        """Return the sources that differ from what they were when they were added. Raises SourceError.

        Call it after the compile and before ``by_role``.
        """
        return [path for path in self._stamps if not self._is_unchanged(path)]

    def by_role(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Return the SHA-256 of these sources, in hex, by role."""
        return {role: self._digests[path] for role, path in files.items()}

    def _is_unchanged(self, path: Path) -> bool:
        sha256 = self._sources.sha256(path)
        same = self._digests.setdefault(path, sha256) == sha256
        return same and self._sources.stamp(path) == self._stamps[path]
