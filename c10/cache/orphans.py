"""Removes what dead processes left in a folder of engines."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from c10.cache.inventory import engine_of_temporary
from c10.errors import PublishError
from c10.files.locks import reserved
from c10.files.publish import orphans, remove_orphans


def tidy(folders: Iterable[Path]) -> None:
    """Remove the temporary files in these folders, never those of an engine that a process is at work on.

    Of any engine, so also of one that an older configuration or another host asked for.
    """
    for folder in folders:
        with suppress(OSError, PublishError):  # a folder that may only be read keeps them
            for name in sorted({name for orphan in orphans(folder) if (name := engine_of_temporary(orphan.name))}):
                with reserved(folder / name) as free:
                    if free:
                        remove_orphans(folder, name)
