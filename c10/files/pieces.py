"""SHA-256 of a file's pieces, so that several cores can check one file.

SHA-256 of a whole file is one chain and takes one core. A file is divided into pieces of
a fixed size, and each piece has its own digest. The sidecar still names the digest of the whole file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from c10.files.digest import CHUNK, HEX_DIGEST, open_regular

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Bytes, a multiple of CHUNK. 8 MiB measured no faster and doubles the list; 32 MiB measured slower on two cores.
PIECE: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class PieceDigests:
    """The SHA-256 of each piece of a file."""

    size: int
    """Of each piece, in bytes; the last piece may be smaller."""
    sha256: tuple[str, ...]
    """One digest per piece in hex, in the order of the file; () for an empty file."""

    @classmethod
    def from_json(cls, value: Any) -> PieceDigests:
        """Return the digests that a record or a message holds; ``refuse_mismatch`` checks them."""
        return cls(value["size"], tuple(value["sha256"]))

    def refuse_mismatch(self, size: int, sha256: str) -> None:
        """Raise ValueError or TypeError if a file of this size and digest cannot have these pieces."""
        if type(self.size) is not int or self.size <= 0:
            raise ValueError(f"{self.size!r} is not the size of a piece")
        if len(self.sha256) != (expected := -(-size // self.size)):
            raise ValueError(f"expected {expected} pieces of {self.size} bytes, got {len(self.sha256)}")
        if not all(HEX_DIGEST.fullmatch(digest) for digest in self.sha256):
            raise ValueError("the digest of a piece is not a SHA-256")
        if len(self.sha256) == 1 and self.sha256[0] != sha256:
            raise ValueError("the digest of the only piece is not that of the file")


@dataclass(frozen=True, slots=True)
class FileDigests:
    """The digests and the size of a file, all computed from the same bytes."""

    sha256: str
    """Of the whole file, in hex."""
    size: int
    """In bytes."""
    pieces: PieceDigests
    """The digests of the file's pieces."""


#: For each path in use by ``listening``, the digests of the files published there since. The one way from a runtime,
#: which publishes by a public function with a fixed signature and may do so in any thread, to the build that waits for
#: it. Builds never meet here: each listens at a path in a private folder of its own, with an unpredictable name.
_LISTENING: Final[dict[Path, list[FileDigests]]] = {}


@contextmanager
def listening(path: Path) -> Iterator[list[FileDigests]]:
    """Yield a list that receives the digests of each file published at ``path`` during the block, by any thread.

    There is one listener for each path: use a path that nobody else publishes at (``staging``).
    """
    heard = _LISTENING[path] = []
    try:
        yield heard
    finally:
        del _LISTENING[path]


def tell(path: Path, digests: FileDigests) -> None:
    """Pass the digests of a file just published to the ``listening`` block of its path, if there is one."""
    if (heard := _LISTENING.get(path)) is not None:
        heard.append(digests)


def only_piece(size: int, sha256: str) -> PieceDigests:
    """Return the pieces of a file of at most PIECE bytes, whose only piece has the digest of the file."""
    return PieceDigests(PIECE, (sha256,) if size else ())


@contextmanager
def hashing_pieces(data: memoryview) -> Iterator[list[Future[str]]]:
    """Hash the pieces of ``data`` on another core during the block, without copying them.

    Yields one future per piece, in order. No thread reads ``data`` after the block.
    """
    from concurrent.futures import ThreadPoolExecutor  # a warm run publishes nothing

    pool = ThreadPoolExecutor(1)
    try:
        yield [pool.submit(_sha256, data[start : start + PIECE]) for start in range(0, data.nbytes, PIECE)]
    finally:
        pool.shutdown(cancel_futures=True)


def digest_pieces(path: Path) -> FileDigests:
    """Read a regular file once and return its digests, in constant memory. Raises OSError."""
    whole, size = hashlib.sha256(), 0
    pieces: list[str] = []
    view = memoryview(bytearray(CHUNK))
    descriptor = open_regular(path)
    try:
        while True:
            piece, missing = hashlib.sha256(), PIECE
            while missing and (count := os.readv(descriptor, [view[: min(missing, CHUNK)]])):
                whole.update(view[:count])
                piece.update(view[:count])
                missing -= count
            if missing < PIECE:
                pieces.append(piece.hexdigest())
                size += PIECE - missing
            if missing:
                break
    finally:
        os.close(descriptor)
    return FileDigests(whole.hexdigest(), size, PieceDigests(PIECE, tuple(pieces)))


def _sha256(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
