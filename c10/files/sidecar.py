r"""The ``.sha256`` sidecar: the digest that the engine's bytes must have.

Format: ``<64 hex>␠␠<file name>\n``, so that ``sha256sum -c`` checks it; a bare digest is accepted on reading.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from c10.errors import InvalidSidecarError, MissingSidecarError
from c10.files.digest import HEX_DIGEST, digest_file, read_regular
from c10.files.naming import EnginePaths

if TYPE_CHECKING:
    from c10.files.pieces import FileDigests

_SIDECAR_MAX: Final = 4096  # bytes; a digest, two spaces and the longest file name that Linux has are 323


class Sha256Sidecar:
    """Writes an engine with its sidecar, and checks the one against the other."""

    @staticmethod
    def path(engine_path: str | Path) -> Path:
        """Return the sidecar's path."""
        return EnginePaths.of(Path(engine_path)).sidecar

    @classmethod
    def read(cls, engine_path: str | Path) -> str:
        """Return the digest that the sidecar names.

        Raises MissingSidecarError and InvalidSidecarError.
        """
        return parse_sidecar(cls.read_bytes(engine_path), Path(engine_path).name, cls.path(engine_path))

    @classmethod
    def read_bytes(cls, engine_path: str | Path) -> bytes:
        """Return the bytes of the sidecar, unchecked. Raises MissingSidecarError and InvalidSidecarError."""
        path = cls.path(engine_path)
        try:
            return read_regular(path, _SIDECAR_MAX)
        except FileNotFoundError:
            message = f"{path}: expected a sidecar beside the engine, found none"
            raise MissingSidecarError(message, detail="") from None
        except OSError as error:
            raise InvalidSidecarError(f"{path}: expected a readable sidecar, got {error}") from error

    @classmethod
    def verify(cls, engine_path: str | Path) -> bool:
        """Read and hash every byte of the engine and compare it with the sidecar.

        Returns False if the digest differs. Raises MissingSidecarError, InvalidSidecarError, and OSError
        if the engine cannot be read.
        """
        return cls.read(engine_path) == digest_file(Path(engine_path)).sha256

    @classmethod
    def write_atomic_and_sidecar(cls, engine_path: str | Path, data: bytes | bytearray | memoryview) -> str:
        """Publish the engine, then its sidecar; return the SHA-256 in hex.

        Both are on disk before the first is renamed, so a full disk leaves the older pair intact. A crash between
        the two renames leaves a pair that disagrees and is not reused. The digests of the engine's pieces are passed
        to the build that is ``listening`` for this path. Raises PublishError.
        """
        from c10.files.pieces import tell

        digests = cls.write(Path(engine_path), data)
        tell(Path(engine_path), digests)
        return digests.sha256

    @classmethod
    def write(cls, engine_path: Path, data: bytes | bytearray | memoryview) -> FileDigests:
        """Publish as ``write_atomic_and_sidecar`` does, and return all digests. Raises PublishError."""
        from c10.files.pieces import FileDigests
        from c10.files.publish import staged  # a warm run writes nothing

        with staged(engine_path, data) as engine:
            line = f"{engine.sha256}  {engine_path.name}\n".encode()
            with staged(cls.path(engine_path), line) as sidecar:
                engine.commit()
                sidecar.commit()
        assert engine.pieces is not None  # noqa: S101 - for the type checker: ``staged`` hashes them
        return FileDigests(engine.sha256, engine.size, engine.pieces)


def parse_sidecar(content: bytes, engine_name: str, path: Path) -> str:
    """Return the digest in hex that a sidecar's content names. Raises InvalidSidecarError, which names ``path``.

    A file name in the content has to be ``engine_name``.
    """
    text = content.decode("utf-8", "replace")
    digest, separator, name = text.removesuffix("\n").partition("  ")
    if HEX_DIGEST.fullmatch(digest) is None or (separator and name != engine_name):
        raise InvalidSidecarError(
            f"{path}: expected '<64 hex digits>  {engine_name}', got {text[:100]!r}",
            remedy="The engine will be rebuilt by `doit engines`.",
        )
    return digest
