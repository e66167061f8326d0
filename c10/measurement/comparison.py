"""Adds up, input by input, how far one network's outputs are from another's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from c10.measurement.report import OutputDeviation

if TYPE_CHECKING:
    import numpy as np

#: Values. The range of fewer says nothing.
_RANGE_MIN: Final = 3
#: Significant digits of the numbers of a report.
_DIGITS: Final = 6
_LARGEST: Final = sys.float_info.max


class Comparison:
    """The outputs of two networks, compared as they come. An output that is a sequence has an entry for each tensor."""

    def __init__(self) -> None:
        self._outputs: dict[str, _Output] = {}
        self.inputs = 0

    def add(self, names: Sequence[str], expected: Sequence[Any], found: Sequence[Any]) -> None:
        """Compare what the original (``expected``) and the converted network (``found``) made of one input."""
        self.inputs += 1
        for name, a, b in zip(names, expected, found, strict=True):
            for part, one, other in _tensors(name, a, b):
                self._outputs.setdefault(part, _Output()).add(one, other)

    def deviations(self) -> tuple[OutputDeviation, ...]:
        """Return what was found so far, an entry for each output."""
        return tuple(output.deviation(name) for name, output in self._outputs.items())


class _Output:
    """One output over all inputs."""

    def __init__(self) -> None:
        self._low, self._high = float("inf"), float("-inf")
        self._largest = 0.0
        self._cosines: list[float | None] = []
        self._values = self._nan = self._infinite = self._lost = self._gained = self._shapes = 0

    def add(self, expected: Any, found: Any) -> None:
        import numpy as np

        a, b = _numbers(expected, found)
        if a is None or b is None or a.shape != b.shape:
            self._shapes += 1
            return
        finite_a, finite_b = np.isfinite(a), np.isfinite(b)
        both = finite_a & finite_b
        self._values += a.size
        self._nan += int(np.isnan(b).sum())
        self._infinite += int(np.isinf(b).sum())
        self._lost += int((finite_a & ~finite_b).sum())
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        self._gained += int((~finite_a & ~same).sum())
        self._low = min(self._low, float(a[finite_a].min(initial=np.inf)))
        self._high = max(self._high, float(a[finite_a].max(initial=-np.inf)))
        self._compare(a[both], b[both])

    def _compare(self, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
        import numpy as np

        if not a.size:
            return
        with np.errstate(over="ignore"):
            self._largest = max(self._largest, float(np.abs(a - b).max()))
        self._cosines.append(_cosine(a, b))

    def deviation(self, name: str) -> OutputDeviation:
        reach = self._high - self._low if self._values >= _RANGE_MIN else 0.0
        known = self._high >= self._low
        reach = reach if known and reach > 0 else max(abs(self._low), abs(self._high)) if known else 0.0
        reach = reach or 1.0
        cosines = [cosine for cosine in self._cosines if cosine is not None]
        return OutputDeviation(
            name=name,
            values=self._values,
            largest=_finite(self._largest),
            range=_finite(reach),
            part=_finite(self._largest / reach),
            cosine=min(cosines) if cosines and len(cosines) == len(self._cosines) else None,
            nan=self._nan,
            infinite=self._infinite,
            lost=self._lost,
            gained=self._gained,
            shapes=self._shapes,
        )


def _tensors(name: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the tensors of an output side by side, None where one of the two has none."""
    if not isinstance(a, list) and not isinstance(b, list):
        yield name, a, b
        return
    left, right = (value if isinstance(value, list) else [] for value in (a, b))
    for index in range(max(len(left), len(right))):
        one, other = (side[index] if index < len(side) else None for side in (left, right))
        yield f"{name}[{index}]", one, other


def _numbers(expected: Any, found: Any) -> tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]:
    """Return both outputs as doubles; None for one that is missing. Of texts, 0 and 1 where they differ."""
    import numpy as np

    if expected is None or found is None:
        empty = np.zeros(0) if expected is found else None
        return empty, empty
    a, b = np.asarray(expected), np.asarray(found)
    if a.dtype.kind in "OUS" or b.dtype.kind in "OUS":
        return np.zeros(a.shape), (np.ones(b.shape) if a.shape != b.shape else (a != b).astype(np.float64))
    kinds = ["f" if array.dtype.kind in "fV" else array.dtype.kind for array in (a, b)]  # V: bfloat16
    if kinds[0] != kinds[1]:
        return None, None
    return a.astype(np.float64), b.astype(np.float64)


def _cosine(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float | None:
    """Return the cosine of the angle between two outputs; 1 if both are 0, None if only one is."""
    import numpy as np

    scales = [float(np.abs(x).max()) for x in (a, b)]
    if not all(scales):
        return None if any(scales) else 1.0
    a, b = (x.reshape(-1) / scale for x, scale in zip((a, b), scales, strict=True))
    return min(1.0, max(-1.0, round(float(a @ b) / float(np.sqrt((a @ a) * (b @ b))), _DIGITS)))


def _finite(number: float) -> float:
    """Return a number in the digits of a report; JSON has no infinity."""
    return float(f"{number:.{_DIGITS}g}") if number < _LARGEST else _LARGEST
