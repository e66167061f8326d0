"""How long a build may take: what the last build of the same model took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c10.corpus.target import EngineTarget
from c10.errors import InvalidEngineNameError, RecordError
from c10.files.naming import ENGINE_SUFFIX, RECORD_SUFFIX, EngineFilenameSchema, EngineName
from c10.proof.nearest import similarity
from c10.proof.record import BuildRecord, read_record


def estimate_s(target: EngineTarget) -> float | None:
    """Return the seconds that the nearest recorded build took; None if this model was never built here.

    Nearest by name (runtime, compute capability, …); the latest if several are equally near.
    """
    wanted = EngineFilenameSchema.parse(target.engine_path)
    builds = _builds(target.engine_path.parent, wanted.model_name)
    nearest = max(builds, key=lambda build: (similarity(build[0], wanted), build[1].finished_on), default=None)
    return nearest[1].compile_duration_s if nearest else None


def _builds(directory: Path, model_name: str) -> Iterator[tuple[EngineName, BuildRecord]]:
    try:
        paths = list(directory.glob(f"{model_name}__*{ENGINE_SUFFIX}{RECORD_SUFFIX}"))
    except OSError:  # an estimate must not fail a build
        return
    for path in paths:
        try:
            yield EngineFilenameSchema.parse(path.name.removesuffix(RECORD_SUFFIX)), read_record(path)
        except (InvalidEngineNameError, RecordError, OSError):
            continue
