"""Inputs that c10 makes if the user gives no samples. The same model gets the same inputs on every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from c10.measurement.inputs import Feeds, ModelInput
from c10.measurement.report import NotMeasuredError

if TYPE_CHECKING:
    import numpy as np

    from c10.corpus.spec import OptimizationProfile, Shape

_SEED: Final = 10


def synthetic_inputs(inputs: tuple[ModelInput, ...], profiles: tuple[OptimizationProfile, ...]) -> Iterator[Feeds]:
    """Yield two sets of arrays for each profile, of its ``opt`` shapes; one profile without shapes if there is none.

    Floats are from N(0, 1) in the first set and from [0, 1] in the second; integers are indices within their bound and
    otherwise 0 or 1; an input that decides shapes has its ``opt`` values. Raises NotMeasuredError if nothing gives the
    shape of an input.
    """
    import numpy as np

    generator = np.random.default_rng(_SEED)
    for opts in [{name: shapes.opt for name, shapes in profile.inputs} for profile in profiles] or [{}]:
        for floats in (generator.standard_normal, generator.random):
            yield {value.name: _array(value, opts.get(value.name), generator, floats) for value in inputs}


def _array(
    value: ModelInput, opt: Shape | None, generator: np.random.Generator, floats: Callable[..., Any]
) -> np.ndarray[Any, Any]:
    import numpy as np

    if opt is not None and value.is_given_values(opt):
        return np.array(opt, value.dtype).reshape(len(opt) if value.shape else ())
    shape = _shape(value, opt)
    if value.dtype.kind == "f":
        return np.asarray(floats(shape)).astype(value.dtype)
    bound = 2 if value.dtype.kind == "b" else min(value.bound, np.iinfo(value.dtype).max)
    return generator.integers(0, bound, shape).astype(value.dtype)


def _shape(value: ModelInput, opt: Shape | None) -> Shape:
    if opt is not None:
        return opt
    known = tuple(dimension for dimension in value.shape if dimension is not None)
    if len(known) < len(value.shape):
        raise NotMeasuredError(f"input {value.name} has a free dimension, and no profile gives it a shape")
    return known
