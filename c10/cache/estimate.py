"""How long a build may take: what the last build of the same model took. May import errors, naming, record, target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c10.corpus.target import RECORD_SUFFIX, EngineTarget
from c10.errors import InvalidEngineNameError, RecordError
from c10.files.naming import ENGINE_SUFFIX, EngineFilenameSchema, EngineName
from c10.proof.record import BuildRecord, read_record


def estimate_s(target: EngineTarget) -> float | None:
    """Return the seconds that the nearest recorded build took; None where this model was never built here.

    Nearest: this very name, then this kind of host (runtime and compute capability), then any; of equals the
    latest.
    """
    wanted = EngineFilenameSchema.parse(target.engine_path)
    found = [
        (_distance(name, wanted), record) for name, record in _builds(target.engine_path.parent, wanted.model_name)
    ]
    if not found:
        return None
    nearest = min(distance for distance, _ in found)
    latest = max((record for distance, record in found if distance == nearest), key=lambda record: record.finished_on)
    return latest.compile_duration_s


def _distance(name: EngineName, wanted: EngineName) -> int:
    if name == wanted:
        return 0
    return 1 if (name.runtime, name.sm) == (wanted.runtime, wanted.sm) else 2


def _builds(directory: Path, model_name: str) -> Iterator[tuple[EngineName, BuildRecord]]:
    try:
        paths = list(directory.glob(f"{model_name}__*{ENGINE_SUFFIX}{RECORD_SUFFIX}"))
    except OSError:  # no estimate is worth a failed build
        return
    for path in paths:
        try:
            yield EngineFilenameSchema.parse(path.name.removesuffix(RECORD_SUFFIX)), read_record(path)
        except (InvalidEngineNameError, RecordError, OSError):
            continue
