"""The content of an image: the engines' files, a manifest that lists them, and labels.

The files that are packed are those that were checked: an engine is hashed while it is copied, and the small files
beside it are read before the check and packed from memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from c10.corpus.target import EngineTarget
from c10.errors import DigestMismatchError, UnreadableEngineError, VerificationError
from c10.files.digest import open_regular, read_regular
from c10.files.naming import EngineFilenameSchema
from c10.files.publish import StagedFile, make_directory, temporary_path
from c10.proof.verdict import Refusal, check_bytes

FOLDER: Final = "engines"
MANIFEST: Final = "manifest.json"
_SCHEMA_VERSION: Final = 1
_SMALL_MAX: Final = 16 << 20  # bytes; sidecar, record and signature are a few kilobytes each


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContents:
    """The intact engines of an image, and its metadata."""

    files: dict[Path, bytes | None]
    """Content by path, in the order of packing; None for an engine, which is read when it is packed."""
    engines: tuple[dict[str, Any], ...]
    """One entry of the manifest for each engine: name, model_name, sha256, size, build_key, tensorrt, signed."""
    labels: dict[str, str]
    """The labels of the image, by name."""

    def manifest(self) -> bytes:
        """Return the content of ``manifest.json``, which is packed beside the engines."""
        manifest = {"c10_schema_version": _SCHEMA_VERSION, "labels": self.labels, "engines": list(self.engines)}
        return json.dumps(manifest, indent=2).encode() + b"\n"


def collect(targets: Iterable[EngineTarget]) -> ImageContents:
    """Return the content of an image of these engines. Raises VerificationError if one is not intact."""
    targets = sorted(targets, key=lambda target: target.engine_path.name)
    files = _files(targets)
    engines = tuple(_describe(target) for target in targets)
    if _files(targets) != files:
        raise VerificationError(
            "image: expected unchanged engines, got a change while they were checked",
            remedy="Run `doit image` again when no other process builds or copies engines.",
        )
    return ImageContents(
        files=files,
        engines=engines,
        labels=_labels(targets, engines),
    )


def write_tar(contents: ImageContents, path: Path) -> StagedFile:
    """Write the engines as a tar and return it, already committed. The same files give the same bytes.

    Raises VerificationError if an engine changed since it was checked, and OSError.
    """
    make_directory(path.parent)
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            output = _Hashed(file)
            with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                _fill(tar, contents)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        staged = StagedFile(path, temporary, output.sha256.hexdigest(), size)
        staged.commit()
    finally:
        temporary.unlink(missing_ok=True)
    return staged


def _files(targets: list[EngineTarget]) -> dict[Path, bytes | None]:
    """Return the files to pack, in order; ``_describe`` reports a file that cannot be read."""
    found: dict[Path, bytes | None] = {}
    for target in targets:
        found[target.engine_path] = None
        for path in (path for path in target.files() if path != target.engine_path):
            with suppress(OSError):
                found[path] = read_regular(path, _SMALL_MAX)
    return found


def _describe(target: EngineTarget) -> dict[str, Any]:
    verdict = check_bytes(target.engine_path, signing=target.signing)
    if isinstance(verdict, Refusal):
        raise VerificationError(
            f"{target.engine_path}: image: expected an intact engine, got: {verdict}", remedy="Run `doit engines`."
        )
    record = verdict.record
    return {
        "name": record.engine_name,
        "model_name": target.model_name,
        "sha256": record.sha256,
        "size": record.size,
        "build_key": record.build_key,
        "tensorrt": f"{target.runtime}{target.runtime_version}",
        "signed": target.paths.envelope.exists(),
    }


def _labels(targets: list[EngineTarget], engines: tuple[dict[str, Any], ...]) -> dict[str, str]:
    names = [EngineFilenameSchema.parse(target.engine_path) for target in targets]
    identity = [[engine["name"], engine["sha256"], engine["build_key"]] for engine in engines]
    return {
        "c10.corpus.digest": hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        "c10.jetpack": " ".join(sorted({name.jp for name in names})),
        "c10.sm": " ".join(sorted({name.sm for name in names})),
        "c10.tensorrt": " ".join(sorted({engine["tensorrt"] for engine in engines})),
    }


def _fill(tar: tarfile.TarFile, contents: ImageContents) -> None:
    folder = tarfile.TarInfo(FOLDER)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(folder)
    digests = {engine["name"]: engine["sha256"] for engine in contents.engines}
    for path, content in contents.files.items():
        if content is None:
            _add_engine(tar, path, digests[path.name])
        else:
            _add(tar, path.name, content)
    _add(tar, MANIFEST, contents.manifest())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, len(content)), io.BytesIO(content))


def _add_engine(tar: tarfile.TarFile, path: Path, sha256: str) -> None:
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            source = _Hashed(file)
            tar.addfile(_entry(path.name, os.fstat(file.fileno()).st_size), source)  # type: ignore[arg-type]
    except OSError as error:
        raise UnreadableEngineError(f"{path}: image: expected a readable file, got {error}") from error
    if source.sha256.hexdigest() != sha256:
        raise DigestMismatchError(f"{path}: image: expected the engine that was checked, got other bytes")


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Return a file's header, with the same owner, mode and time for every file, so that the tar is reproducible."""
    entry = tarfile.TarInfo(f"{FOLDER}/{name}")
    entry.size, entry.mode = size, 0o644
    return entry


class _Hashed:
    """A file that hashes the bytes that are read or written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Read and hash."""
        data = self._file.read(size)
        self.sha256.update(data)
        return data

    def write(self, data: bytes) -> int:
        """Hash and write."""
        self.sha256.update(data)
        return self._file.write(data)
