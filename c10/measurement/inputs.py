"""The inputs of a model: their types and shapes, and which of them decide shapes by their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c10.conversion.flatten import overridable
from c10.measurement.report import NotMeasuredError
from c10.measurement.tracing import Trace

if TYPE_CHECKING:
    import numpy as np

    from c10.conversion.model import Model
    from c10.corpus.spec import OptimizationProfile, ShapeRange

#: An array for each input, by name.
Feeds = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input of a model."""

    name: str
    """As the model names it."""
    dtype: np.dtype[Any]
    """numpy's type of its values."""
    shape: tuple[int | None, ...]
    """Its dimensions; None for a free one."""
    decides_shapes: bool
    """Whether shapes follow from its values; a profile may then give values in place of a shape."""
    bound: int
    """Of an integer: what its values have to be below, so that they are indices; 2 if it is used as none."""

    def is_given_values(self, given: tuple[int, ...]) -> bool:
        """Whether a profile's entry for this input is values and not a shape, as TensorRT has it for shape inputs."""
        if self.dtype.kind not in "iu" or len(self.shape) > 1:
            return False
        if not self.shape:
            return len(given) == 1
        fits = len(given) == 1 and self.shape[0] in {None, given[0]}
        return self.decides_shapes or (not fits and self.shape[0] in {None, len(given)})


def inputs_of(model: Model) -> tuple[ModelInput, ...]:
    """Return the inputs of a flattened model, those without the ones that have a default.

    Raises NotMeasuredError for an input that is no tensor of numbers or booleans.
    """
    trace = Trace(model)
    with_default = overridable(model.proto.graph)
    found = []
    for value in (value for value in model.proto.graph.input if value.name not in with_default):
        dimensions = value.type.tensor_type.shape.dim
        # Some exporters write -1 for a free dimension.
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in dimensions)
        dtype = _dtype(value)
        bound = trace.index_bound(value.name) if dtype.kind in "iu" else 2
        found.append(ModelInput(value.name, dtype, shape, trace.decides_shapes(value.name), bound))
    return tuple(found)


def _dtype(value: Any) -> np.dtype[Any]:
    from onnx import TensorProto, helper

    kind = value.type.tensor_type.elem_type
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise NotMeasuredError(f"input {value.name} is no tensor of a known rank")
    dtype: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(kind)
    if dtype.kind not in "fiub":
        name = TensorProto.DataType.Name(kind)
        raise NotMeasuredError(f"input {value.name} has values of {name}, which c10 cannot make or read")
    return dtype


def fault_of(value: ModelInput, array: np.ndarray[Any, Any]) -> tuple[str, str] | None:
    """Return what type and shape the model expects and what the array has; None if it fits."""
    if array.dtype != value.dtype:
        return f"values of {value.dtype} (array.astype({str(value.dtype)!r}))", f"{array.dtype}"
    fits = len(array.shape) == len(value.shape)
    fits = fits and all(m in {None, d} for m, d in zip(value.shape, array.shape, strict=True))
    return None if fits else (f"the shape {written(value.shape)}", written(array.shape))


def within_a_profile(
    inputs: tuple[ModelInput, ...], feeds: Feeds, profiles: tuple[OptimizationProfile, ...]
) -> tuple[str, str, str] | None:
    """Return which input is in no profile's range, the range of the last one, and what it is; None if one fits all."""
    fault = None
    for profile in profiles:
        ranges = dict(profile.inputs)
        faults = (_outside(value, feeds[value.name], ranges[value.name]) for value in inputs if value.name in ranges)
        fault = next(filter(None, faults), None)
        if fault is None:
            return None
    return fault


def _outside(value: ModelInput, array: np.ndarray[Any, Any], shapes: ShapeRange) -> tuple[str, str, str] | None:
    is_values = value.is_given_values(shapes.opt)
    found = tuple(int(v) for v in array.reshape(-1)) if is_values else array.shape
    bounds = zip(shapes.min, found, shapes.max, strict=False)
    if len(found) == len(shapes.min) and all(low <= v <= high for low, v, high in bounds):
        return None
    return value.name, f"{'values' if is_values else 'a shape'} within the profile's {shapes}", written(found)


def written(shape: tuple[int | None, ...]) -> str:
    """Return a shape for a person, ? for a free dimension."""
    return f"[{', '.join('?' if d is None else str(d) for d in shape)}]"
