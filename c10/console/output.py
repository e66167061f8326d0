"""Where a run's lines go: a stream that may fail without failing a build."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from c10.console import events


class Output:
    """A text stream that a run writes to and does not depend on: an engine is worth more than its line.

    What its encoding does not have becomes a question mark. Once it cannot be written (nobody reads the pipe any
    more, the disk of a log is full, it is closed) that is logged, and what follows is dropped.
    """

    def __init__(self, stream: Any) -> None:
        """``stream`` is None where standard output was closed before Python started."""
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        return bool(getattr(self._stream, "isatty", lambda: False)())

    def write(self, text: str) -> None:
        """Write at once: who waits for a build reads along."""
        if self._stream is None:
            return
        try:
            self._stream.write(encodable(text, self.encoding))
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            silence(self._stream)
            self._stream = None
            events.output_lost(error)

    def flush(self) -> None:
        """Nothing waits: whatever was written is flushed."""


def encodable(text: str, encoding: str) -> str:
    """Return text with question marks for what an encoding does not have."""
    return text.encode(encoding, "replace").decode(encoding)


def silence(stream: Any) -> None:
    """Send what is left in a stream's buffer nowhere: Python would complain of it once more as it exits.

    Source: Python's documentation of SIGPIPE (signal, "Note on SIGPIPE").
    """
    with suppress(OSError, ValueError, AttributeError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def tolerate_any_text() -> None:
    """Let doit's own lines, too, hold what standard output's encoding does not have."""
    with suppress(AttributeError, ValueError):  # replaced by the application, or closed
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
