"""The compiling child's main: one job from stdin, messages to stdout. May import errors and its siblings.

stdout belongs to the messages; whatever a library prints goes to stderr, which the parent keeps for the case
that this process dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any, Final, TextIO

from c10.errors import ConfigError, EngineBuildError, PublishError, SourceError
from c10.runtimes.messages import decode_job, encode_error
from c10.runtimes.protocol import BuildProgress

_PR_SET_PDEATHSIG: Final = 1


class MessageStream:
    """Writes messages, a JSON line each; safe to use from the builder's threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **fields: Any) -> None:
        """Send one message."""
        with self._lock:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()

    def progress(self, progress: BuildProgress) -> None:
        """Send where the builder is."""
        self.send("progress", phase=progress.phase, step=progress.step, steps=progress.steps)


def main() -> None:
    """Compile the one job that stdin holds."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and ends this process
    messages = MessageStream(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    job = decode_job(sys.stdin.readline())
    if os.getppid() != parent:  # it died before the kernel was told to tell
        return
    from c10.runtimes.build import build_engine  # imports a compiler

    try:
        engine, report = build_engine(job, messages)
    except (EngineBuildError, PublishError, SourceError, ConfigError) as error:
        messages.send("failed", error=encode_error(error))
    except MemoryError:
        remedy = "Lower workspace_mb or free memory."
        full = EngineBuildError(f"{job.onnx_path}: compile: out of memory", remedy=remedy)
        messages.send("failed", error=encode_error(full))
    else:
        messages.send("done", **asdict(engine), network=asdict(report))
    sys.stdout.flush()
    os._exit(0)  # nothing is left to do, and libraries have crashed while they were taken down
