"""How a child process of c10 belongs to its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final, TextIO

_PR_SET_PDEATHSIG: Final = 1


def belong_to_parent() -> TextIO:
    """Let the kernel kill this process when its parent dies, and return the stream that leads to the parent.

    The stream is stdout's, and stdout becomes stderr, so that what a library prints does not get between c10's lines.
    Ctrl-C is ignored, because the parent gets it too and ends this process. Call it first. Raises SystemExit if the
    parent has died already.
    """
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() != parent:  # the parent died before prctl took effect
        sys.exit()
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return stream
