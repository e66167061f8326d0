"""Rounds constants to 16 bits, and judges whether the rounded constant can replace the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from c10.conversion.policy import ROUNDING_MAX, SMALL_CONSTANT

if TYPE_CHECKING:
    import numpy as np

    from c10.conversion.result import HalfPrecision

TOO_SMALL: Final = "too small for"
_BF16_BITS: Final = 16  # the upper half of an fp32


def rounded(values: np.ndarray[Any, Any], precision: HalfPrecision) -> np.ndarray[Any, Any]:
    """Return fp32 values rounded to 16 bits, to nearest and ties to even; bf16 as its bits in uint16."""
    import numpy as np

    if precision == "fp16":
        with np.errstate(over="ignore"):  # gives infinity, which ``misfit`` checks
            return values.astype(np.float16)
    bits = np.ascontiguousarray(values).view(np.uint32)
    nearest = (bits + (0x7FFF + ((bits >> _BF16_BITS) & 1))) >> _BF16_BITS
    return np.where(np.isnan(values), np.uint32(0x7FC0), nearest).astype(np.uint16)


def widened(half: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return 16-bit values, as ``rounded`` returns them, in fp32."""
    import numpy as np

    if half.dtype == np.float16:
        return half.astype(np.float32)
    return (half.astype(np.uint32) << _BF16_BITS).view(np.float32)


def misfit(values: np.ndarray[Any, Any], precision: HalfPrecision, *, bound: int = 0) -> str:
    """Return why an fp32 constant does not fit into a precision; "" if it fits.

    An element is too large if it becomes infinity, unless it is a ``bound`` on that side (1: upper, -1: lower), and too
    small if rounding changes it by more than ROUNDING_MAX of itself. In a constant of more than SMALL_CONSTANT elements
    only the element of the largest magnitude counts.
    """
    import numpy as np

    if values.size == 0:
        return ""
    if values.size > SMALL_CONSTANT:
        values = np.array([_largest(values)], np.float32)
    values = values[np.isfinite(values)]
    half = widened(rounded(values, precision))
    beyond = np.isinf(half)
    if (wrong := beyond & (np.sign(values) != bound)).any():
        return f"the constant {values[wrong][0]:.4g} is beyond {precision}'s range"
    values, half = values[~beyond], half[~beyond]
    lost = np.abs(half - values) > ROUNDING_MAX * np.abs(values)
    return f"the constant {values[lost][0]:.4g} is {TOO_SMALL} {precision}" if lost.any() else ""


def _largest(values: np.ndarray[Any, Any]) -> float:
    """Return the finite element of the largest magnitude; 0 if there is none."""
    import numpy as np

    finite = values if np.isfinite([values.min(), values.max()]).all() else values[np.isfinite(values)]
    if not finite.size:
        return 0.0
    low, high = float(finite.min()), float(finite.max())
    return low if -low > high else high
