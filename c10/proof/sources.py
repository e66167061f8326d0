"""The files that an engine is built from: which they are, and their digests. May import errors, digest and
remedies.

A source is read again only when its stat signature is not the one that it had when it was last hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from c10.errors import SourceError
from c10.files.digest import FileDigest, FileSignature, digest_file
from c10.files.remedies import to_read


class SourceDigests:
    """Digests of source files, remembered for as long as the files' signatures stand.

    ``known`` is what an earlier run remembered (see ``dump``); what it holds of the wrong form is ignored.
    """

    def __init__(self, digest: Callable[[Path], FileDigest] = digest_file) -> None:
        self._digest = digest
        self._known: dict[str, FileDigest] = {}

    def learn(self, known: Mapping[str, Any]) -> None:
        """Take over what ``dump`` gave to an earlier run; this run's own findings win."""
        for path, value in known.items():
            try:
                sha256, signature = value
                entry = FileDigest(str(sha256), FileSignature(*map(int, signature)))
            except (TypeError, ValueError, OverflowError):
                continue
            self._known.setdefault(path, entry)

    def dump(self, paths: Iterable[Path]) -> dict[str, list[Any]]:
        """Return what a later run may trust of these files, as JSON values."""
        entries = ((str(path), self._known.get(str(path))) for path in paths)
        return {path: [entry.sha256, list(entry.signature)] for path, entry in entries if entry and entry.lasting}

    def sha256(self, path: Path) -> str:
        """Return the file's digest, reading it only where it may have changed. Raises SourceError."""
        signature = self.signature(path)
        known = self._known.get(str(path))
        if known is None or known.signature != signature:
            try:
                known = self._known[str(path)] = self._digest(path)
            except OSError as error:
                raise _unreadable(path, error) from error
        return known.sha256

    def signature(self, path: Path) -> FileSignature:
        """Return what stat says of the file now. Raises SourceError."""
        try:
            return FileSignature.of(path.stat())
        except OSError as error:
            raise _unreadable(path, error) from error

    def stands(self, path: Path, signature: FileSignature) -> bool:
        """Whether the file was hashed with this signature and still has it."""
        known = self._known.get(str(path))
        try:
            return known is not None and known.signature == signature == FileSignature.of(path.stat())
        except OSError:
            return False


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"{path}: expected a readable file, got {error.strerror or error}",
        remedy=to_read(error, "Put the file there, or correct its path in backbones.toml."),
    )
