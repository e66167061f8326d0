"""Follows the running builds and how far each has got."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from c10.console.progress import ProgressChannel, TaskProgress
from c10.runtimes.protocol import BuildProgress

_TICK_S: Final = 0.1


@dataclass(slots=True)
class RunningBuild:
    """One engine that is being built."""

    model_name: str
    """The model."""
    estimate_s: float | None
    """How many seconds the build may take; None if unknown."""
    started: float = field(default_factory=time.monotonic)
    """When it started, by time.monotonic()."""
    progress: BuildProgress = field(default_factory=lambda: BuildProgress("Starting"))
    """The last progress that was received."""

    @property
    def elapsed_s(self) -> float:
        """How many seconds it has been running."""
        return time.monotonic() - self.started

    def describe(self) -> str:
        """Return the phase, and its step if the builder counts steps: ``Parsing 3/8``."""
        counted = f" {self.progress.step}/{self.progress.steps}" if self.progress.steps > 1 else ""
        return f"{self.progress.phase}{counted}"


class BuildWatch:
    """A thread that follows running builds over ``channel`` and calls ``tick`` with their list, ten times a second.

    The thread starts with the first build: a warm run has none, and doit forks its processes before it.
    """

    def __init__(self, channel: ProgressChannel, tick: Any) -> None:
        self._channel = channel
        self._tick = tick
        self._builds: dict[str, RunningBuild] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def add(self, build: RunningBuild) -> None:
        """Follow one more build."""
        self._builds[build.model_name] = build
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="c10-display", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread, and wait for its last tick."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._channel.receive(_TICK_S):
                self._take(message)
            self._tick(list(self._builds.values()))

    def _take(self, message: TaskProgress) -> None:
        if message.progress is None:
            self._builds.pop(message.model_name, None)
        elif message.model_name in self._builds:
            self._builds[message.model_name].progress = message.progress
