"""One run of doit at a time in a process: doit keeps the database of its run in a global (doit.globals.Globals)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from doit.globals import Globals

from c10.errors import C10Error


class Turn:
    """Lets one thread at a time run doit. A child process that is forked meanwhile starts with a free turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        os.register_at_fork(after_in_child=self._renew)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until no other thread runs doit, and put back the globals that a surrounding doit had set.

        Raises C10Error for a run that starts inside a run of the same thread, which could never get its turn.
        """
        me = threading.get_ident()
        if self._thread == me:
            raise C10Error(
                "EngineCompiler: expected no run inside a run, got one that was started by a runtime or a callback",
                remedy="Start it after the outer run has returned, or in a process of its own.",
            )
        with self._lock:
            self._thread, before = me, Globals.dep_manager
            try:
                yield
            finally:
                Globals.dep_manager = before
                self._thread = None

    def _renew(self) -> None:
        """Make a new lock: the thread that held the old one exists in the parent process only."""
        self._lock = threading.Lock()
        self._thread = None


#: As many as doit has globals: one a process.
DOIT = Turn()
