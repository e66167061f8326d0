"""Carries the progress of builds from the processes that build to the one that displays it.

It is a pipe that is opened before doit starts its processes, which inherit it; serial runs use the same pipe. Each
line is shorter than PIPE_BUF, so lines of several writers do not mix (POSIX, write(2)).
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from c10.runtimes.protocol import BuildProgress, ProgressCallback

_PHASE_MAX = 120  # characters; with the rest of the line far below PIPE_BUF


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """One message about the build of one model."""

    model_name: str
    """The model that is being built."""
    progress: BuildProgress | None
    """How far its build is; None when it has ended."""


class ProgressChannel:
    """The two ends of the pipe. Until ``open`` is called, messages are dropped."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._writer: int | None = None

    def open(self) -> None:
        """Open the pipe. Its writing end does not block: if the pipe is full, messages are dropped."""
        self.close()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def close(self) -> None:
        """Close both ends."""
        for end in (self._reader, self._writer):
            if end is not None:
                os.close(end)
        self._reader = self._writer = None

    def callback(self, model_name: str) -> ProgressCallback:
        """Return the progress callback that a runtime gets for one model."""

        def send(progress: BuildProgress) -> None:
            self._send([model_name, progress.phase[:_PHASE_MAX], progress.step, progress.steps])

        return send

    def finished(self, model_name: str) -> None:
        """Send that the build of a model has ended, in success or failure."""
        self._send([model_name, None, 0, 0])

    def receive(self, timeout_s: float) -> Iterator[TaskProgress]:
        """Yield the messages that arrive first within ``timeout_s`` seconds; none if the channel is closed."""
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
