"""Ends a run that was interrupted by Ctrl-C without a traceback."""

from __future__ import annotations

import sys
from types import TracebackType


def is_interrupted() -> bool:
    """Whether Ctrl-C is ending this run. Call it while doit handles the exception that ends the run."""
    return isinstance(sys.exc_info()[1], KeyboardInterrupt)


def show_no_traceback() -> None:
    """Suppress the traceback of Ctrl-C. Python still ends the process by SIGINT, as shells expect (status 130)."""
    shown = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            shown(kind, error, traceback)

    sys.excepthook = show
