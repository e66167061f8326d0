"""Shows a run: lines that stay, and the builds that are running.

``PlainDisplay`` writes lines, for a pipe, a file or a log; ``live.LiveDisplay`` draws on a terminal. Both receive the
progress of running builds through the progress channel, in a thread of their own.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol

from c10.console import events
from c10.console.output import Output
from c10.console.progress import ProgressChannel
from c10.console.watch import BuildWatch, RunningBuild

HEARTBEAT_S: Final = 30.0  # between two progress lines of one build


class Display(Protocol):
    """Shows lines, and the builds that are running."""

    def write(self, text: str) -> None:
        """Show text that stays. It ends with a line feed."""

    def building(self, model_name: str, estimate_s: float | None) -> None:
        """Show a build from now on; ``estimate_s``: how long it may take, None if unknown."""

    def close(self) -> None:
        """Remove what does not stay, and stop the thread."""


class PlainDisplay:
    """Writes lines to a stream, and a progress line every ``heartbeat_s`` seconds during a long build."""

    def __init__(self, output: Output, channel: ProgressChannel, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._output = output
        self._heartbeat_s = heartbeat_s
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._watch = BuildWatch(channel, self._beat)

    def write(self, text: str) -> None:
        """Write text that stays. A lock keeps it apart from the progress lines of the other thread."""
        with self._lock:
            self._output.write(text)

    def building(self, model_name: str, estimate_s: float | None) -> None:
        """Write progress lines for a build until it ends."""
        self._told[model_name] = 0.0
        self._watch.add(RunningBuild(model_name, estimate_s))

    def close(self) -> None:
        """Stop the thread that writes progress lines."""
        self._watch.close()

    def _beat(self, builds: list[RunningBuild]) -> None:
        for build in builds:
            elapsed = build.elapsed_s
            if elapsed - self._told[build.model_name] >= self._heartbeat_s:
                self._told[build.model_name] = elapsed
                expected = f" of about {build.estimate_s:.0f} s" if build.estimate_s else ""
                self.write(f"building {build.model_name}: {elapsed:.0f} s{expected}, {build.describe()}\n")


def make_display(output: Output, channel: ProgressChannel) -> Display:
    """Return the display for an output: live on a terminal that can move its cursor, otherwise plain.

    Opens the channel, to listen to the builds of this run. A live display also turns off the text form of log events,
    because its lines say the same.
    """
    channel.open()
    if is_live(output):
        from c10.console.live import LiveDisplay

        events.leave_out_text()
        return LiveDisplay(output, channel)
    return PlainDisplay(output, channel)


def is_live(output: Output) -> bool:
    """Whether the output is a terminal that can be drawn on, and events are not logged as JSON."""
    return (
        output.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and os.environ.get(events.FORMAT_VARIABLE) != "json"
    )
