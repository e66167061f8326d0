"""What is asked for against what the parsed network is. May import errors and spec.

Rules: NVIDIA, "Working with Dynamic Shapes": a profile names every dynamic input, min ≤ opt ≤ max, and free
dimensions of one name agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c10.corpus.spec import BuildConfig, OptimizationProfile, Shape, ShapeRange
from c10.errors import EngineBuildError

_FREE = -1


def check_profiles(onnx_path: Path, network: Any, profiles: tuple[OptimizationProfile, ...]) -> None:
    """Raise one EngineBuildError with all that speaks against the profiles, and the model's real inputs."""
    inputs = {tensor.name: tensor for tensor in _inputs(network)}
    problems: list[str] = []
    for number, profile in enumerate(profiles):
        where = f"profile {number}: " if len(profiles) > 1 else ""
        problems += [f"{where}{problem}" for problem in _profile_problems(inputs, profile)]
    if not profiles:
        problems += [
            f"{name}: expected a shape for a dynamic input, got none" for name, t in inputs.items() if _FREE in t.shape
        ]
    if problems:
        raise EngineBuildError(
            f"{onnx_path}: shapes: expected ones that the model can take, got {len(problems)} that it cannot",
            log=(*problems, *describe_inputs(network)),
            remedy="Correct the inputs of this backbone in backbones.toml.",
        )


def describe_inputs(network: Any) -> tuple[str, ...]:
    """Return a line for each of the model's inputs: name, type and shape, -1 where a dimension is free."""
    return tuple(
        f"model input: {tensor.name} {_type_name(tensor.dtype)} {list(tensor.shape)}" for tensor in _inputs(network)
    )


def check_precision(trt: Any, onnx_path: Path, network: Any, config: BuildConfig, *, strong: bool) -> None:
    """Raise EngineBuildError where the engine would not have the precision that its name says."""
    types = {_type_name(dtype) for dtype in _layer_types(network)}
    quantized = {_type_name(dtype) for dtype in _quantized_types(trt, network)}
    wanted = config.precision
    lower = {"fp16": "HALF", "bf16": "BF16", "int8": "INT8", "fp8": "FP8"}
    problem = ""
    if wanted in {"int8", "fp8"}:
        calibrated = wanted == "int8" and config.options.calibration_cache is not None and not strong
        if lower[wanted] not in quantized and not calibrated:
            problem = f"expected an ONNX with Q/DQ nodes of {lower[wanted]}, got none"
    elif wanted == "fp32":
        below = sorted(types & set(lower.values()) - ({"INT8"} - quantized))
        problem = f"expected a network of fp32, got one with {', '.join(below)}" if below else ""
    elif strong and lower[wanted] not in types:
        problem = f"expected a network with {lower[wanted]}, got {', '.join(sorted(types))}"
    if problem:
        raise EngineBuildError(
            f"{onnx_path}: precision {wanted}: {problem}",
            remedy="Set the precision that the ONNX has, or export it in the one that you want.",
        )


def _profile_problems(inputs: dict[str, Any], profile: OptimizationProfile) -> Iterator[str]:
    named = dict(profile.inputs)
    for name, tensor in inputs.items():
        if name not in named and _FREE in tensor.shape:
            yield f"{name}: expected a shape for a dynamic input, got none"
    for name, shapes in named.items():
        if name not in inputs:
            yield f"{name}: expected one of the model's inputs, got a name that it does not have"
        elif not inputs[name].is_shape_tensor:
            yield from _shape_problems(name, tuple(inputs[name].shape), shapes)
    yield from _shared_dimension_problems(inputs, named)


def _shape_problems(name: str, model: Shape, shapes: ShapeRange) -> Iterator[str]:
    bounds = {f"{name}.min": shapes.min, f"{name}.opt": shapes.opt, f"{name}.max": shapes.max}
    if shapes.min == shapes.opt == shapes.max:
        bounds = {name: shapes.opt}
    for where, shape in bounds.items():
        if len(shape) != len(model):
            yield f"{where}: expected {len(model)} dimensions, got {list(shape)}"
        elif any(m not in {_FREE, d} for m, d in zip(model, shape, strict=True)):
            yield f"{where}: expected {list(model)}, got {list(shape)}"


def _shared_dimension_problems(inputs: dict[str, Any], named: dict[str, ShapeRange]) -> Iterator[str]:
    seen: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for name in sorted(named.keys() & inputs.keys()):
        shapes = named[name]
        for axis in range(min(len(inputs[name].shape), len(shapes.min), len(shapes.opt), len(shapes.max))):
            dimension = _dimension_name(inputs[name], axis)
            if inputs[name].shape[axis] != _FREE or not dimension:
                continue
            values = (shapes.min[axis], shapes.opt[axis], shapes.max[axis])
            first, expected = seen.setdefault(dimension, (name, values))
            if values != expected:
                yield f"{name}: dimension {dimension!r}: expected {expected} as in {first}, got {values}"


def _dimension_name(tensor: Any, axis: int) -> str:
    return str(tensor.get_dimension_name(axis) or "")


def _inputs(network: Any) -> Iterator[Any]:
    return (network.get_input(index) for index in range(network.num_inputs))


def _layer_types(network: Any) -> Iterator[Any]:
    yield from (tensor.dtype for tensor in _inputs(network))
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        yield from (layer.get_output(i).dtype for i in range(layer.num_outputs))


def _quantized_types(trt: Any, network: Any) -> Iterator[Any]:
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.QUANTIZE:
            yield layer.get_output(0).dtype


def _type_name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]
