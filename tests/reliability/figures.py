"""What a run of the reliability tests did, counted: printed at its end, and copied into docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from typing import Final

FIGURES: Final[Counter[str]] = Counter()

#: Printed also where they are 0: the promise in three numbers.
NEVER: Final = ("wrong engines reused", "reported builds lost", "tracebacks")
