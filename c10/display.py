"""What a run shows: lines that stay, and what is under way. May import events, progress and live (lazily).

``PlainDisplay`` writes lines, for a pipe, a file or a log; ``live.LiveDisplay`` draws on a terminal. Both hear
of running builds through the progress channel, on a thread of their own.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from c10 import events
from c10.progress import CHANNEL, TaskProgress
from c10.runtimes.protocol import BuildProgress

HEARTBEAT_S: Final = 30.0
_TICK_S: Final = 0.1
_COLOURS: Final = {"BUILT ": "32", "REUSED": "2", "FAILED": "1;31"}  # SGR: green, faint, bold red


@dataclass(slots=True)
class RunningBuild:
    """One engine that is being built. Times are in seconds; ``estimate_s`` is None where nothing is known."""

    model_name: str
    estimate_s: float | None
    started: float = field(default_factory=time.monotonic)
    progress: BuildProgress = field(default_factory=lambda: BuildProgress("Starting"))

    @property
    def elapsed_s(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def describe(self) -> str:
        """Return the phase, and its step where the builder counts."""
        counted = f" {self.progress.step}/{self.progress.steps}" if self.progress.steps > 1 else ""
        return f"{self.progress.phase}{counted}"


class Display(Protocol):
    """Shows lines, and between them what is under way."""

    def write(self, text: str) -> None:
        """Show text that stays; it ends with a line feed."""

    def building(self, model_name: str, estimate_s: float | None) -> None:
        """A build begins."""

    def close(self) -> None:
        """End."""


class PlainDisplay:
    """Lines in a stream, with a sign of life where a build takes long."""

    def __init__(self, stream: Any, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._stream = stream
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._watch = BuildWatch(self._beat)

    def write(self, text: str) -> None:
        """Write at once: who waits for a build reads along."""
        with self._lock:
            self._stream.write(text)
            self._stream.flush()

    def building(self, model_name: str, estimate_s: float | None) -> None:
        """Begin to give signs of life."""
        self._told[model_name] = 0.0
        self._watch.add(RunningBuild(model_name, estimate_s))

    def close(self) -> None:
        """Stop."""
        self._watch.close()

    def _beat(self, builds: list[RunningBuild]) -> None:
        for build in builds:
            elapsed = build.elapsed_s
            if elapsed - self._told[build.model_name] >= self._heartbeat_s:
                self._told[build.model_name] = elapsed
                expected = f" of about {build.estimate_s:.0f} s" if build.estimate_s else ""
                self.write(f"building {build.model_name}: {elapsed:.0f} s{expected}, {build.describe()}\n")


class BuildWatch:
    """A thread that follows running builds and calls ``tick`` with them, ten times a second.

    It starts with the first build: a warm run has none, and doit forks its processes before.
    """

    def __init__(self, tick: Any) -> None:
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
        """Stop, and wait for the last tick."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in CHANNEL.receive(_TICK_S):
                self._take(message)
            self._tick(list(self._builds.values()))

    def _take(self, message: TaskProgress) -> None:
        if message.progress is None:
            self._builds.pop(message.model_name, None)
        elif message.model_name in self._builds:
            self._builds[message.model_name].progress = message.progress


def make_display(stream: Any) -> Display:
    """Return the display that suits the stream: live on a terminal that can move its cursor, else plain.

    On a live terminal the lines say what the log's text would, so that is left out there; as JSON it is not.
    """
    CHANNEL.open()
    if is_live(stream):
        from c10.live import LiveDisplay

        events.leave_out_text()
        return LiveDisplay(stream)
    return PlainDisplay(stream)


def is_live(stream: Any) -> bool:
    """Whether the stream is a terminal that can be drawn on, and nobody else writes JSON to it."""
    terminal = bool(getattr(stream, "isatty", lambda: False)())
    return terminal and os.environ.get("TERM", "dumb") != "dumb" and os.environ.get(events.FORMAT_VARIABLE) != "json"


def coloured(text: str) -> str:
    """Colour a line's first word, unless NO_COLOR (no-color.org) asks not to."""
    colour = _COLOURS.get(text[:6])
    if colour is None or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text[:6]}\x1b[0m{text[6:]}"
