"""Lists the content of a cache_root: engines of all hosts, leftovers, foreign files.

``take_inventory`` reads names and sizes only; ``examine`` reads an engine's bytes. Neither writes anything.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from c10.corpus.target import PLACEHOLDER
from c10.errors import C10Error, InvalidEngineNameError, Reason
from c10.files.digest import FileDigest, digest_file
from c10.files.locks import LOCKS_DIRECTORY, is_held
from c10.files.naming import SUFFIXES, EngineFilenameSchema, EngineName
from c10.files.publish import owner_of_temporary
from c10.files.remedies import to_read
from c10.proof.verdict import Proof, Refusal, Verdict, check_bytes
from c10.signing.policy import SigningPolicy

EngineState = Literal["intact", "building", "unrecorded", "untrusted", "unreadable", "lost", "damaged"]
LeftoverKind = Literal["orphan", "writing", "foreign"]

_OWN_DIRECTORIES: Final = (LOCKS_DIRECTORY, ".timing")

_STATES: Final[dict[Reason, EngineState]] = {
    "missing": "lost",
    "engine_unreadable": "unreadable",
    "sidecar_missing": "damaged",
    "sidecar_malformed": "damaged",
    "digest_mismatch": "damaged",
    "record_mismatch": "damaged",
    "signature_missing": "untrusted",
    "signature_invalid": "untrusted",
    "signature_untrusted": "untrusted",
    "signature_revoked": "untrusted",
}


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """The files of one engine in a directory, found by name and not read."""

    engine_path: Path
    """The engine's path; the engine itself may be missing (see ``files``)."""
    name: EngineName
    """The fields of the engine's file name."""
    files: tuple[Path, ...]
    """Those of the engine's four files that exist, the engine first."""
    size: int
    """Of all files together, in bytes."""
    modified_s: float
    """Latest modification of any of the files, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that is not one of an engine's four files."""

    path: Path
    """The file or folder itself."""
    kind: LeftoverKind
    """orphan: temporary file or folder of a process that died; writing: of a running build; foreign: not c10's."""
    size: int
    """In bytes; of a build's folder, with the files in it."""
    modified_s: float
    """Seconds since the epoch."""
    engine_path: Path | None = None
    """The engine that the temporary file or folder belongs to; None for a foreign file."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The content of one directory of engines."""

    directory: Path
    """The directory that was listed."""
    engines: tuple[StoredEngine, ...] = ()
    """Sorted by name."""
    leftovers: tuple[Leftover, ...] = ()
    """Sorted by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of reading one engine."""

    stored: StoredEngine
    """The engine as the inventory lists it."""
    state: EngineState
    """"building" if another process holds the engine's lock, otherwise ``state_of(verdict)``."""
    verdict: Verdict
    """About the engine's bytes, record and signature; it was not compared with the inputs of a corpus."""

    @property
    def why(self) -> str:
        """What is wrong with the engine, in words; "" if it is intact."""
        if self.state == "intact":
            return ""
        if self.state == "building":
            return "another process builds it now: look again when that is done"
        if self.state == "lost":
            rest = " and ".join(path.name.removeprefix(self.stored.engine_path.name) for path in self.stored.files)
            return f"the engine is gone, only its {rest} is here"
        return str(self.verdict)


def cache_directories(cache_root: Path) -> list[Path]:
    """Return the directories of a cache_root; with ``{device}`` or ``{sm_count}`` in it, those of all hosts."""
    text = str(cache_root)
    if PLACEHOLDER.search(text) is None:
        return [cache_root]
    pattern = "*".join(glob.escape(part) for part in PLACEHOLDER.split(text))
    found = map(Path, glob.glob(pattern))  # noqa: PTH207 - any anchor
    return sorted(path for path in found if os.path.isdir(path))  # noqa: PTH112 - Path.is_dir raises


def take_inventory(directory: Path) -> Inventory:
    """List a directory of engines. Raises C10Error if it cannot be listed."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - the error of an unreadable one is wanted now
        found = [(path, status) for name in names if (status := _status(path := directory / name)) is not None]
    except OSError as error:
        raise C10Error(
            f"{directory}: expected a directory of engines, got {error.strerror or error}",
            remedy=to_read(
                error, "Build them first: doit engines. Or name the directory that holds them: doit engines-verify DIR"
            ),
        ) from error
    entries = {path.name: (path, status) for path, status in found}
    owners = {name: engine for name in entries if (engine := _engine_of(name)) is not None}
    engines = [_stored(directory / name, entries) for name in sorted(set(owners.values()))]
    rest = [name for name in sorted(entries) if name not in owners and name not in _OWN_DIRECTORIES]
    leftovers = [_leftover(*entries[name]) for name in rest]
    return Inventory(directory, tuple(engines), tuple(leftovers))


def examine(
    stored: StoredEngine,
    engine_digest: Callable[[Path], FileDigest] = digest_file,
    signing: SigningPolicy | None = None,
) -> Finding:
    """Read an engine, and its signature if ``signing`` requires it.

    A refused engine is checked a second time, because a build may have published it during the first.
    """
    verdict = check_bytes(stored.engine_path, engine_digest, signing)
    if isinstance(verdict, Refusal):
        if is_held(stored.engine_path):
            return Finding(stored, "building", verdict)
        verdict = check_bytes(stored.engine_path, digest_file, signing)
    return Finding(stored, state_of(verdict), verdict)


def state_of(verdict: Verdict) -> EngineState:
    """Return the state for a verdict about an engine that no process is building."""
    return "intact" if isinstance(verdict, Proof) else _STATES.get(verdict.reason, "unrecorded")


def engine_files(engine_paths: Iterable[Path]) -> set[Path]:
    """Return these engines' paths with symbolic links in the directories resolved. For comparison, not for opening."""
    return {path.parent.resolve() / path.name for path in engine_paths}


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except PermissionError:  # the directory can be listed but not searched: no engine in it can be read
        raise
    except OSError:  # renamed or removed since the listing: a builder's temporary file
        return None


def _stored(engine_path: Path, entries: dict[str, tuple[Path, os.stat_result]]) -> StoredEngine:
    found = [entries[name] for suffix in SUFFIXES if (name := f"{engine_path.name}{suffix}") in entries]
    return StoredEngine(
        engine_path=engine_path,
        name=EngineFilenameSchema.parse(engine_path),
        files=tuple(path for path, _ in found),
        size=sum(status.st_size for _, status in found),
        modified_s=max(status.st_mtime for _, status in found),
    )


def _leftover(path: Path, status: os.stat_result) -> Leftover:
    engine = engine_of_temporary(path.name)
    if engine is None:
        return Leftover(path, "foreign", status.st_size, status.st_mtime)
    # The file was listed before the lock is checked: if the lock is free now, the file was an orphan then.
    engine_path = path.parent / engine
    kind: LeftoverKind = "writing" if is_held(engine_path) else "orphan"
    return Leftover(path, kind, status.st_size + _size_inside(path, status), status.st_mtime, engine_path)


def _size_inside(path: Path, status: os.stat_result) -> int:
    """Return the size of the files in a folder, in bytes; 0 for a file, and for a folder of another user."""
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    statuses = (_status_or_none(file) for file in found) if stat.S_ISDIR(status.st_mode) else ()
    return sum(inside.st_size for inside in statuses if inside is not None)


def _status_or_none(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:  # removed meanwhile, as a running build does
        return None


def engine_of_temporary(file_name: str) -> str | None:
    """Return the name of the engine that a temporary file belongs to; None if it is another program's."""
    owner = owner_of_temporary(file_name)
    return _engine_of(owner) if owner else None


def _engine_of(file_name: str) -> str | None:
    for suffix in SUFFIXES:
        if file_name.endswith(suffix):
            name = file_name[: len(file_name) - len(suffix)]
            try:
                EngineFilenameSchema.parse(name)
            except InvalidEngineNameError:
                continue
            return name
    return None
