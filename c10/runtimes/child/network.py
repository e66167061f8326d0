"""Checks the configured shapes against the inputs of the parsed network.

Rules: NVIDIA, "Working with Dynamic Shapes": a profile names every dynamic input, min ≤ opt ≤ max, and free dimensions
of one name are equal. A dimension may be 0 (an empty KV cache). For a shape input a profile gives values, which may be
any integers; for an ordinary input it gives dimensions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final

from c10.corpus.spec import OptimizationProfile, Shape, ShapeRange
from c10.errors import EngineBuildError

_FREE: Final = -1
#: TensorRT (RTX 1.7) keeps 32 bits of a dimension: it rejects 2^31, and reads 2^62 as 0.
_DIMENSION_MAX: Final = 2**31 - 1
_BARE_KEY: Final = re.compile("[A-Za-z0-9_-]+")


def check_profiles(onnx_path: Path, network: Any, profiles: tuple[OptimizationProfile, ...]) -> None:
    """Raise EngineBuildError if a profile does not fit the network, with every problem and the network's inputs."""
    inputs = {tensor.name: tensor for tensor in _inputs(network)}
    problems: list[str] = []
    for number, profile in enumerate(profiles):
        where = f"profile {number}: " if len(profiles) > 1 else ""
        problems += [f"{where}{problem}" for problem in _profile_problems(inputs, profile)]
    if not profiles:
        problems += _missing_problems(inputs, {})
    if problems:
        raise EngineBuildError(
            f"{onnx_path}: shapes: expected shapes that fit the model's inputs, got {_misfits(len(problems))}",
            log=(*problems, *describe_inputs(network)),
            remedy="Correct the inputs of this backbone in backbones.toml.",
        )


def _misfits(number: int) -> str:
    return "1 that does not" if number == 1 else f"{number} that do not"


def describe_inputs(network: Any) -> tuple[str, ...]:
    """Return a line for each input of the model: its name, type and shape, with -1 for a free dimension."""
    return tuple(
        f"model input: {tensor.name} {_type_name(tensor.dtype)} {list(tensor.shape)}" for tensor in _inputs(network)
    )


def _profile_problems(inputs: dict[str, Any], profile: OptimizationProfile) -> Iterator[str]:
    named = dict(profile.inputs)
    yield from _missing_problems(inputs, named)
    for name, shapes in named.items():
        if name not in inputs:
            yield f"{name}: expected one of the model's inputs, got a name that it does not have"
        elif inputs[name].is_shape_tensor:
            yield from _value_problems(name, tuple(inputs[name].shape), shapes)
        else:
            yield from _shape_problems(name, tuple(inputs[name].shape), shapes)
    yield from _shared_dimension_problems(inputs, named)


def _missing_problems(inputs: dict[str, Any], named: dict[str, ShapeRange]) -> Iterator[str]:
    for name, tensor in inputs.items():
        if name in named:
            continue
        if tensor.is_shape_tensor:
            example = ", ".join(f"{bound} = {[1] * prod(tensor.shape)}" for bound in ("min", "opt", "max"))
            yield (
                f"{name}: expected values for a shape input (its values decide shapes), got none: "
                f"add with your own values: inputs.{_toml_key(name)} = {{{example}}}"
            )
        elif _FREE in tensor.shape:
            yield f"{name}: expected a shape for a dynamic input, got none"


def _shape_problems(name: str, model: Shape, shapes: ShapeRange) -> Iterator[str]:
    for where, shape in _bounds(name, shapes).items():
        if len(shape) != len(model):
            yield f"{where}: expected {len(model)} dimensions, got {list(shape)}"
        elif any(not 0 <= d <= _DIMENSION_MAX for d in shape):
            yield f"{where}: expected dimensions from 0 to {_DIMENSION_MAX}, got {list(shape)}"
        elif any(m not in {_FREE, d} for m, d in zip(model, shape, strict=True)):
            yield f"{where}: expected {list(model)}, got {list(shape)}"


def _value_problems(name: str, model: Shape, shapes: ShapeRange) -> Iterator[str]:
    count = prod(model)
    for where, values in _bounds(name, shapes).items():
        if 0 <= count != len(values):
            yield f"{where}: expected the {count} values of a shape input, got {list(values)}"


def _bounds(name: str, shapes: ShapeRange) -> dict[str, Shape]:
    """Return the bounds of a range by their key in backbones.toml; a single bound if all are equal."""
    if shapes.min == shapes.opt == shapes.max:
        return {name: shapes.opt}
    return {f"{name}.min": shapes.min, f"{name}.opt": shapes.opt, f"{name}.max": shapes.max}


def _shared_dimension_problems(inputs: dict[str, Any], named: dict[str, ShapeRange]) -> Iterator[str]:
    seen: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for name in sorted(named.keys() & inputs.keys()):
        if inputs[name].is_shape_tensor:
            continue
        shapes = named[name]
        for axis in range(min(len(inputs[name].shape), len(shapes.min), len(shapes.opt), len(shapes.max))):
            dimension = _dimension_name(inputs[name], axis)
            if inputs[name].shape[axis] != _FREE or not dimension:
                continue
            values = (shapes.min[axis], shapes.opt[axis], shapes.max[axis])
            first, expected = seen.setdefault(dimension, (name, values))
            if values != expected:
                yield f"{name}: dimension {dimension!r}: expected {expected} as in {first}, got {values}"


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _dimension_name(tensor: Any, axis: int) -> str:
    return str(tensor.get_dimension_name(axis) or "")


def _inputs(network: Any) -> Iterator[Any]:
    return (network.get_input(index) for index in range(network.num_inputs))


def _type_name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]
