"""Ctrl-C: an end like another, not a defect."""

from __future__ import annotations

import sys
from types import TracebackType


def is_interrupted() -> bool:
    """Whether Ctrl-C is what ends this run: asked where doit, on its way out, closes the run."""
    return isinstance(sys.exc_info()[1], KeyboardInterrupt)


def show_no_traceback() -> None:
    """Let Python end this process by SIGINT, as shells expect (status 130), without saying where it struck."""
    shown = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            shown(kind, error, traceback)

    sys.excepthook = show
