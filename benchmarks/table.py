"""The table: a goal, what was measured, and how much of the goal that takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from measure import Spread


@dataclass(frozen=True)
class Row:
    """One line. ``share`` is what was measured over what the goal allows: 1.00 or less meets it."""

    what: str
    goal: str
    measured: str
    share: Spread | None = None
    note: str = ""

    @property
    def met(self) -> str:
        """Whether the median meets the goal; empty where there is none."""
        if self.share is None:
            return ""
        return "yes" if self.share.median <= 1 else "no"


def render(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ["what", "goal", "measured", "÷ goal: median (min–max)", "met", "note"]
    lines = [head, ["---"] * len(head)]
    lines += [[r.what, r.goal, r.measured, str(r.share or ""), r.met, r.note] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
