"""How a wanted engine came about in one run. May import nothing of c10."""

from __future__ import annotations

from enum import Enum


class CompileOutcome(str, Enum):
    """BUILT: compiled in this run. REUSED: proved intact and built from exactly these inputs."""

    BUILT = "BUILT"
    REUSED = "REUSED"
