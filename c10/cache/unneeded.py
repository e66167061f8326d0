"""Finds and deletes the files of a cache_root that a corpus does not need on this host."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from c10.cache.inventory import Inventory, StoredEngine, engine_files
from c10.cache.reading import is_missing
from c10.corpus.runtimes import RUNTIME_OF
from c10.corpus.target import EngineTarget
from c10.errors import PublishError, RecordError
from c10.files.locks import reserved
from c10.files.naming import EngineFilenameSchema, EngineName, EnginePaths
from c10.files.publish import remove_temporary
from c10.proof.record import read_record

_HOST_FIELDS: Final = ("sm", "jp", "runtime", "trt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """Files that are deleted together, and why no target needs them."""

    engine_path: Path
    """The engine whose lock has to be held to delete the files."""
    files: tuple[Path, ...]
    """An engine's files, the engine first; or one orphan."""
    size: int
    """Of all files together, in bytes."""
    age_s: float
    """Seconds since the build; since the last modification if no record tells it."""
    kind: str
    """other_host, model_gone, other_precision or orphan."""
    why: str
    """The reason, in words."""

    @property
    def label(self) -> str:
        """The name of the first file, which represents all of them in a report."""
        return self.files[0].name


def unneeded(inventory: Inventory, targets: Sequence[EngineTarget]) -> Iterator[Unneeded]:
    """Yield the files that no target needs: first engines with all their files, then orphans."""
    needed = engine_files(target.engine_path for target in targets)
    wanted = [EngineFilenameSchema.parse(target.engine_path) for target in targets]
    for stored in inventory.engines:
        if engine_files([stored.engine_path]).isdisjoint(needed):
            kind, why = _reason(stored.name, wanted)
            yield Unneeded(
                engine_path=stored.engine_path,
                files=stored.files,
                size=stored.size,
                age_s=_age(stored),
                kind=kind,
                why=why,
            )
    for left in inventory.leftovers:
        if left.kind == "orphan" and left.engine_path is not None:
            yield Unneeded(
                engine_path=left.engine_path,
                files=(left.path,),
                size=left.size,
                age_s=time.time() - left.modified_s,
                kind="orphan",
                why="left by a build that died",
            )


def is_doubtful(found: Sequence[Unneeded], targets: Sequence[EngineTarget]) -> bool:
    """Whether engines would be deleted although no target has one: host or corpus may be the wrong one."""
    return any(item.kind != "orphan" for item in found) and all(is_missing(target.engine_path) for target in targets)


def delete(item: Unneeded) -> str:
    """Delete one item's files, the record first. Returns why it failed, in words; "" if it succeeded."""
    try:
        with reserved(item.engine_path) as free:
            if not free:
                return "being built now: not deleted"
            for path in reversed(item.files):
                if item.kind == "orphan":
                    remove_temporary(path)
                else:
                    path.unlink(missing_ok=True)
    except PublishError as error:
        return error.message
    except OSError as error:
        return f"could not be deleted: {error.strerror or error}"
    return ""


def _reason(name: EngineName, wanted: Sequence[EngineName]) -> tuple[str, str]:
    if not any(_host(name) == _host(other) for other in wanted):
        jetpack = "" if name.jp == "none" else f", JetPack {name.jp}"
        product = RUNTIME_OF[name.runtime].product
        return "other_host", f"another host: sm{name.sm}{jetpack}, {product} {name.trt}"
    same_model = [other for other in wanted if other.model_name == name.model_name]
    if not same_model:
        return "model_gone", f"{name.model_name} is not in the corpus"
    if all(other.precision != name.precision for other in same_model):
        return "other_precision", f"{name.precision}; the corpus wants {same_model[0].precision}"
    return "other_host", "of the same name, in another host's directory"  # {device} or {sm_count} in cache_root


def _host(name: EngineName) -> tuple[str, ...]:
    return tuple(getattr(name, field) for field in _HOST_FIELDS)


def _age(stored: StoredEngine) -> float:
    """Return the seconds since the build that the record names; a copied file's mtime may be that of the copy."""
    try:
        built = datetime.fromisoformat(read_record(EnginePaths.of(stored.engine_path).record).finished_on).timestamp()
    except (OSError, RecordError, ValueError, OverflowError):
        built = stored.modified_s
    return time.time() - built
