"""Where a running build is, from whichever process builds to whoever draws.

A pipe, opened before doit starts its processes and inherited by them: under ``-n`` as in a serial run there is
one way. A line is shorter than PIPE_BUF, so lines of several writers do not mix (POSIX, write(2)).
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from c10.runtimes.protocol import BuildProgress, ProgressCallback

_PHASE_MAX = 120  # characters, far below PIPE_BUF with all around it


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """One message: which model is where; ``phase`` None says that its build is over."""

    model_name: str
    progress: BuildProgress | None


class ProgressChannel:
    """The pipe's two ends; closed, and silently so, until somebody opens it to listen."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._writer: int | None = None

    def open(self) -> None:
        """Start to listen. A full pipe loses progress, never time: the writing end does not block."""
        self.close()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def close(self) -> None:
        """Stop listening."""
        for end in (self._reader, self._writer):
            if end is not None:
                os.close(end)
        self._reader = self._writer = None

    def callback(self, model_name: str) -> ProgressCallback:
        """Return what a runtime calls for one model."""

        def send(progress: BuildProgress) -> None:
            self._send([model_name, progress.phase[:_PHASE_MAX], progress.step, progress.steps])

        return send

    def finished(self, model_name: str) -> None:
        """Say that a model's build is over, however it ended."""
        self._send([model_name, None, 0, 0])

    def receive(self, timeout_s: float) -> Iterator[TaskProgress]:
        """Yield what arrives within ``timeout_s``; nothing where the channel is closed."""
        if self._reader is None or not select.select([self._reader], [], [], timeout_s)[0]:
            return
        for line in os.read(self._reader, 1 << 16).splitlines():
            with suppress(ValueError):  # a line cut in two by the end of the read
                model_name, phase, step, steps = json.loads(line)
                yield TaskProgress(model_name, None if phase is None else BuildProgress(phase, step, steps))

    def _send(self, message: list[str | int | None]) -> None:
        if self._writer is not None:
            with suppress(BlockingIOError):
                os.write(self._writer, json.dumps(message).encode() + b"\n")


#: One a process, as doit's own Globals are: the reporter opens it, the actions write to it.
CHANNEL = ProgressChannel()
