"""The parts of the report page: HTML out of values, every word escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from typing import Any, Final

from c10.console.text import printable

_KINDS: Final = {
    "intact": "good", "reuse": "good", "damaged": "bad", "unreadable": "bad", "lost": "bad", "missing": "bad",
    "blocked": "bad", "untrusted": "bad", "stale": "warn", "build": "warn", "unrecorded": "warn", "orphan": "warn",
}  # fmt: skip

#: Each state that the page shows: what it means, what to do about it; commands stand in backticks.
STATES: Final = {
    "intact": ("Every byte was read and is what its `.sha256` and its build record name.", ""),
    "damaged": (
        "The bytes cannot be proved right. It is never reused.",
        "Run `doit engines` on the host that it is for. `doit engines-verify --quarantine DIR` sets it aside first.",
    ),
    "lost": (
        "The engine itself is gone; only files beside it are left.",
        "Restore it from a copy, or run `doit engines` on the host that it is for.",
    ),
    "unreadable": ("The file cannot be read.", "See its permissions, then `dmesg` for errors of the disk."),
    "untrusted": (
        "Intact, but not signed as this corpus asks. It is never reused here.",
        "Have it signed by a trusted key, or run `doit engines`.",
    ),
    "blocked": (
        "The corpus wants it here, and a file that a build needs is missing or cannot be read.",
        "Put the file there, readable.",
    ),
    "missing": ("The corpus wants it here and it was not built yet.", "Run `doit engines`."),
    "stale": (
        "Intact, but built from other inputs than the corpus has now.",
        "Run `doit engines`: it builds it again.",
    ),
    "unrecorded": (
        "Without a build record that can be read, nothing says what it was built from. It is never reused.",
        "Run `doit engines` on the host that it is for.",
    ),
    "building": ("Another process builds it now.", "Look again when that is done."),
    "orphan": ("A temporary file of a build that died.", "`doit engines-prune --delete` removes it."),
    "writing": ("A temporary file of a build that is running.", "Nothing: it goes when the build ends."),
    "foreign": ("Not a file of c10's.", "Nothing: c10 leaves it alone."),
}
#: The states, the most urgent after the first.
URGENCY: Final = list(STATES)

NOTHING: Final = '<span class="none">–</span>'


def section(title: str, lead: str, content: str) -> str:
    """Return a section; ``lead`` and ``content`` are HTML."""
    return f'<section><h2>{text(title)}</h2><p>{lead}</p>\n<div class="card">{content}</div></section>'


def table(heads: Iterable[str], groups: Iterable[Sequence[str]]) -> str:
    """Return a table; a head that begins with ``>`` stands over numbers."""
    cells = "".join(
        f'<th scope="col"{" class=number" if head.startswith(">") else ""}>{text(head.removeprefix(">"))}</th>'
        for head in heads
    )
    bodies = "\n".join("<tbody>\n" + "\n".join(rows) + "\n</tbody>" for rows in groups)
    return f"<table>\n<thead><tr>{cells}</tr></thead>\n{bodies}\n</table>"


def measure(value: float | None, largest: float, words: Callable[[Any], str], kind: str = "size") -> str:
    """Return a table's cell with a number and its bar; a dash where there is none."""
    if value is None:
        return f'<td class="measure">{NOTHING}</td>'
    share = 100 * value / largest if largest else 0
    bar = f'<span class="bar {kind}" aria-hidden="true"><i style="width:{share:.1f}%"></i></span>'
    return f'<td class="measure">{text(words(value))}{bar}</td>'


def chip(state: str) -> str:
    """Return a state as a coloured word: the word alone says it, too."""
    return f'<span class="chip {_KINDS.get(state, "")}">{text(state)}</span>'


def when(moment: str | None) -> str:
    """Return an ISO 8601 time in UTC, to the minute."""
    try:
        time = datetime.fromisoformat(moment or "").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return NOTHING
    return f'<time datetime="{time.isoformat()}">{time:%Y-%m-%d %H:%M}</time>'


def sentence(words: str) -> str:
    """Begin with a capital; a reason's code name is left as it is."""
    return words if "_" in words.partition(" ")[0] else words[:1].upper() + words[1:]


def file_name(name: str) -> str:
    """Return a file name that breaks at its underscores."""
    return f'<span class="file">{text(name).replace("_", "_<wbr>")}</span>'


def prose(words: str) -> str:
    """Return a sentence with what stands in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", text(words))


def text(value: object) -> str:
    """Return a value as escaped text."""
    return escape(printable(str(value)))
