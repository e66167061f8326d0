"""Removes what dead processes left beside engines that need no build. May import
busy, errors, publish and target.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from c10.busy import reserved
from c10.errors import PublishError
from c10.publish import orphans, remove_orphans
from c10.target import EngineTarget


def tidy(reused: Iterable[EngineTarget]) -> None:
    """Remove the temporary files of these engines, never those of a process that is at work on one.

    One look at each folder; a build removes those of its own engine itself.
    """
    by_folder: dict[Path, list[str]] = {}
    for target in reused:
        by_folder.setdefault(target.engine_path.parent, []).append(target.engine_path.name)
    for folder, names in by_folder.items():
        with suppress(OSError, PublishError):  # a folder that may only be read keeps them
            left = [orphan.name for orphan in orphans(folder)]
            for name in names:
                if any(orphan.startswith(f".{name}.") for orphan in left):
                    _tidy(folder / name)


def _tidy(engine_path: Path) -> None:
    with reserved(engine_path) as free:
        if free:
            remove_orphans(engine_path.parent, engine_path.name)
