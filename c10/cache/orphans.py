"""Removes temporary files that dead processes left in folders of engines."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from c10.cache.inventory import engine_of_temporary
from c10.errors import PublishError
from c10.files.locks import reserved
from c10.files.publish import orphans, remove_orphans


def remove_orphans_in(folders: Iterable[Path]) -> None:
    """Remove the temporary files in these folders, except those of engines that a process is building.

    This includes engines of older configurations and of other hosts. Errors are ignored.
    """
    for folder in folders:
        with suppress(OSError, PublishError):  # such as a read-only folder
            for name in sorted({name for orphan in orphans(folder) if (name := engine_of_temporary(orphan.name))}):
                with reserved(folder / name) as free:
                    if free:
                        remove_orphans(folder, name)
