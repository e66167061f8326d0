"""What a run shows: lines that stay, and what is under way.

``PlainDisplay`` writes lines, for a pipe, a file or a log; ``live.LiveDisplay`` draws on a terminal. Both hear
of running builds through the progress channel, on a thread of their own.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol

from c10.console import events
from c10.console.output import Output
from c10.console.progress import CHANNEL
from c10.console.watch import BuildWatch, RunningBuild

HEARTBEAT_S: Final = 30.0


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

    def __init__(self, output: Output, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._output = output
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._watch = BuildWatch(self._beat)

    def write(self, text: str) -> None:
        """Write; signs of life come on a thread of their own."""
        with self._lock:
            self._output.write(text)

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


def make_display(output: Output) -> Display:
    """Return the display that suits the output: live on a terminal that can move its cursor, else plain.

    On a live terminal the lines say what the log's text would, so that is left out there; as JSON it is not.
    """
    CHANNEL.open()
    if is_live(output):
        from c10.console.live import LiveDisplay

        events.leave_out_text()
        return LiveDisplay(output)
    return PlainDisplay(output)


def is_live(output: Output) -> bool:
    """Whether the output is a terminal that can be drawn on, and nobody else writes JSON to it."""
    return (
        output.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and os.environ.get(events.FORMAT_VARIABLE) != "json"
    )
