"""The state of the doit run under way, and doit's file checker, which uses it.

doit makes its file checker when a run starts and drops it when the run ends. The run's state hangs on that object,
so two runs in one process share nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from doit.dependency import FileChangedChecker
from doit.globals import Globals

from c10.building.run import RunState
from c10.errors import SourceError
from c10.files.digest import FileDigest, FileStamp


class SourceChecker(FileChangedChecker):  # type: ignore[misc] # doit is untyped
    """doit's ``check_file_uptodate``: compares content, as doit's MD5 checker does, and hashes a file once a run.

    A file's saved state is its SHA-256 and its stamp. The stamp is saved as [] if the file may change again under the
    same stamp: the next run then reads the file.
    """

    def __init__(self, run: RunState | None = None) -> None:
        self.run = run or RunState()

    def check_modified(self, file_path: str, file_stat: os.stat_result, state: Any) -> bool:
        """Return whether the content differs from the saved state."""
        sha256, stamp = state
        if list(FileStamp.of(file_stat)) == list(stamp):
            return False
        return bool(self._digest(file_path).sha256 != sha256)

    def get_state(self, dep: str, current_state: Any) -> tuple[str, list[int]] | None:
        """Return the state to save, or None to keep the saved one. Raises FileNotFoundError, as doit expects."""
        stamp = list(FileStamp.of(os.stat(dep)))  # noqa: PTH116 - a str, and on the warm path
        if current_state and list(current_state[1]) == stamp:
            return None
        digest = self._digest(dep)
        return digest.sha256, list(digest.stamp) if digest.reusable_later else []

    def _digest(self, path: str) -> FileDigest:
        try:
            return self.run.sources.digest(Path(path))
        except SourceError as error:
            raise FileNotFoundError(2, error.message, path) from error


def current_run() -> RunState:
    """Return the state of the doit run under way, on the checker that doit made for it.

    A dodo.py may name a checker of its own in place of ``SourceChecker``: the state is added to that one.
    """
    checker = getattr(Globals.dep_manager, "checker", None)
    run = getattr(checker, "run", None)
    if not isinstance(run, RunState):
        run = RunState()
        if checker is not None:  # None outside a run, and in a child that doit did not fork
            checker.run = run
    return run
