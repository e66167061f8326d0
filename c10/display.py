"""Where lines go: a plain stream. May import progress."""

from __future__ import annotations

from typing import Any, Protocol


class Display(Protocol):
    """Shows lines, and between them what is under way."""

    def open(self) -> None:
        """Begin."""

    def write(self, text: str) -> None:
        """Show text that stays; it ends with a line feed."""

    def close(self) -> None:
        """End."""


class PlainDisplay:
    """Lines in a stream: a pipe, a file, a log."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def open(self) -> None:
        """Begin."""

    def write(self, text: str) -> None:
        """Write at once: who waits for a build reads along."""
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """End."""


def make_display(stream: Any) -> Display:
    """Return the display that suits the stream."""
    return PlainDisplay(stream)
