"""Formats numbers, durations and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_GAP: Final = "  "
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SMALL: Final = 50_000  # bytes; as MB with one digit it would be 0.0
_TWO_OF: Final = 2  # below two of a unit the smaller unit is used


def megabytes(size: int) -> str:
    """Return a size in bytes as MB (10⁶ bytes): ``2.7 MB``; ``<0.1 MB`` for a small file that is not empty."""
    return "<0.1 MB" if 0 < size < _SMALL else f"{size / 1e6:.1f} MB"


def seconds(duration: float | None) -> str:
    """Return a duration in seconds as text: ``2.4 s``, ``3 min 20 s``, ``2 h 5 min``; "" for None."""
    if duration is None:
        return ""
    if duration < _TWO_OF * _MINUTE:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < _TWO_OF * _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def age(duration: float) -> str:
    """Return an age in seconds as text, in the largest unit of which it has at least two: ``3 days``."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if duration >= _TWO_OF * unit:
            return count(int(duration // unit), name)
    return count(max(int(duration), 0), "second")


def count(number: int, what: str) -> str:
    """Return a number with its noun: ``1 engine``, ``2 engines``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def printable(text: str) -> str:
    """Return text with control and other unprintable characters escaped; file names may contain them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return rows as aligned lines without trailing spaces; the columns in ``right`` are flush right.

    The last column is not padded.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
