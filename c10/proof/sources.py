"""The files that an engine is built from, and their digests.

A source is read again unless its stat stamp proves that it has the bytes that were hashed (``FileDigest.is_of``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from c10.errors import SourceError
from c10.files.digest import FileDigest, FileStamp, digest_file
from c10.files.remedies import to_read


class SourceDigests:
    """The digests of source files that one run has read. Make one for each run.

    ``clock`` returns nanoseconds since the epoch, and ``digest`` hashes a file; tests pass their own.
    """

    def __init__(
        self, digest: Callable[[Path], FileDigest] | None = None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.clock = clock
        self._digest = digest or partial(digest_file, clock=clock)
        self._known: dict[str, FileDigest] = {}

    def learn(self, known: Mapping[str, Any]) -> None:
        """Add the digests that ``dump`` returned in an earlier run; malformed entries are ignored.

        A digest that this run has computed takes precedence.
        """
        for path, value in known.items():
            try:
                sha256, stamp = value
                entry = FileDigest(str(sha256), FileStamp(*map(int, stamp)), reusable_later=True)
            except (TypeError, ValueError, OverflowError):
                continue
            self._known.setdefault(path, entry)

    def dump(self, paths: Iterable[Path]) -> dict[str, list[Any]]:
        """Return the digests of these files that a later run may use, as JSON values."""
        entries = ((str(path), self._known.get(str(path))) for path in paths)
        return {path: [entry.sha256, list(entry.stamp)] for path, entry in entries if entry and entry.reusable_later}

    def note(self, path: Path, digest: FileDigest) -> None:
        """Add a digest that another part of this run has computed."""
        self._known[str(path)] = digest

    def sha256(self, path: Path) -> str:
        """Return the file's digest; the file is read if it may have changed. Raises SourceError."""
        return self.digest(path).sha256

    def digest(self, path: Path) -> FileDigest:
        """Return the file's digest and stamp; the file is read if it may have changed. Raises SourceError."""
        known = self._known.get(str(path))
        if known is None or not known.is_of(self.stamp(path)):
            try:
                known = self._known[str(path)] = self._digest(path)
            except OSError as error:
                raise _unreadable(path, error) from error
        return known

    def stamp(self, path: Path) -> FileStamp:
        """Return the stamp that the file has now. Raises SourceError."""
        try:
            return FileStamp.of(path.stat())
        except OSError as error:
            raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"{path}: expected a readable file, got {error.strerror or error}",
        remedy=to_read(error, "Put the file there, or correct its path in backbones.toml."),
    )
