"""What lies in a cache_root that no engine of a corpus needs here, and its removal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from c10.cache.inventory import Inventory, StoredEngine, engine_files
from c10.cache.reading import is_missing
from c10.corpus.target import EngineTarget
from c10.errors import PublishError, RecordError
from c10.files.locks import reserved
from c10.files.naming import EngineFilenameSchema, EngineName, record_path
from c10.proof.record import read_record

_HOST_FIELDS: Final = ("sm", "jp", "runtime", "trt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """Files that go together, and why nothing here needs them; ``engine_path`` names the lock to hold."""

    engine_path: Path
    files: tuple[Path, ...]
    size: int
    age_s: float
    kind: str
    why: str

    @property
    def label(self) -> str:
        """The file that stands for all."""
        return self.files[0].name


def unneeded(inventory: Inventory, targets: Sequence[EngineTarget]) -> Iterator[Unneeded]:
    """Yield what no target needs: engines with all their files, then orphans."""
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
    """Whether engines would go where nothing that is needed exists: this may be the wrong host, or the wrong corpus."""
    return any(item.kind != "orphan" for item in found) and all(is_missing(target.engine_path) for target in targets)


def delete(item: Unneeded) -> str:
    """Delete one item's files, the record first; return what went wrong, nothing where all went well."""
    try:
        with reserved(item.engine_path) as free:
            if not free:
                return "being built now: left"
            for path in reversed(item.files):
                path.unlink(missing_ok=True)
    except PublishError as error:
        return error.message
    except OSError as error:
        return f"could not be deleted: {error.strerror or error}"
    return ""


def _reason(name: EngineName, wanted: Sequence[EngineName]) -> tuple[str, str]:
    if not any(_host(name) == _host(other) for other in wanted):
        jetpack = "" if name.jp == "none" else f", JetPack {name.jp}"
        product = "TensorRT-RTX" if name.runtime == "rtx" else "TensorRT"
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
    """Return the seconds since the build; a copied file's own time says when it was copied."""
    try:
        built = datetime.fromisoformat(read_record(record_path(stored.engine_path)).finished_on).timestamp()
    except (OSError, RecordError, ValueError, OverflowError):
        built = stored.modified_s
    return time.time() - built
