"""The stream for a run's lines. If it fails, the run continues."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from c10.console import events


class Output:
    """A text stream whose failure does not stop a run, because an engine should not be lost for a line of output.

    Characters that its encoding does not have become question marks. When a write fails (the pipe has no reader, the
    disk is full, the stream is closed), that is logged once and everything later is dropped.
    """

    def __init__(self, stream: Any) -> None:
        """``stream`` is None if standard output was closed before Python started."""
        self._stream = stream

    @property
    def encoding(self) -> str:
        """The stream's encoding; utf-8 if it names none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return bool(getattr(self._stream, "isatty", lambda: False)())

    def write(self, text: str) -> None:
        """Write text and flush it, so that it appears while a build runs."""
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
        """Do nothing: ``write`` flushes."""


def encodable(text: str, encoding: str) -> str:
    """Return text with question marks for characters that an encoding does not have."""
    return text.encode(encoding, "replace").decode(encoding)


def silence(stream: Any) -> None:
    """Redirect a failed stream to the null device; otherwise Python would report its buffer again at exit.

    Source: Python's documentation of SIGPIPE (signal, "Note on SIGPIPE").
    """
    with suppress(OSError, ValueError, AttributeError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def tolerate_any_text() -> None:
    """Let standard output replace characters that its encoding does not have, for doit's own lines."""
    with suppress(AttributeError, ValueError):  # replaced by the application, or closed
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
