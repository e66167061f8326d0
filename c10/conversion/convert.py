"""The conversion of a file, and of a model in memory; `c10.convert_network` adds the user's samples to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from c10.conversion.model import copy_of
from c10.conversion.result import ConversionResult, HalfPrecision
from c10.errors import ConfigError, EngineBuildError

if TYPE_CHECKING:
    from c10.conversion.model import Model

#: Returns the largest magnitude of values of a flattened model, by name, on inputs that it knows.
Observe = Callable[["Model"], Mapping[str, float]]


def convert_network(
    onnx_path: str | Path,
    output_path: str | Path,
    *,
    precision: HalfPrecision,
    keep_fp32: Sequence[str] = (),
    observe: Observe | None = None,
) -> ConversionResult:
    """Write the network of ``onnx_path`` in ``precision`` to ``output_path``, as a build would give it to TensorRT.

    As `c10.convert_network` does it, but for the samples: ``observe`` is asked how large the network's values are, if
    it is converted to fp16, and what is beyond fp16's range stays fp32 too. Raises what that function raises for files,
    precision and ``keep_fp32``, and what ``observe`` raises.
    """
    from c10.conversion.check import problem_of
    from c10.conversion.flatten import flatten
    from c10.conversion.precision import precision_of
    from c10.conversion.storage import read_model, write_model

    if precision not in {"fp16", "bf16"}:
        raise ConfigError(f"convert_network: precision: expected fp16 or bf16, got {precision!r}")
    if isinstance(keep_fp32, str):
        raise ConfigError(f"convert_network: keep_fp32: expected a sequence of strings, got one string: {keep_fp32!r}")
    onnx_path, output_path = Path(onnx_path), Path(output_path)
    model = read_model(onnx_path)
    original = copy_of(model.proto)
    model.proto = flatten(model.proto)
    result = ConversionResult(converted=False, weight_share=0.0)
    if precision_of(model).of == "fp32":
        problem = problem_of(model)
        largest = observe(model) if observe and precision == "fp16" else None
        result = convert(model, precision, keep_fp32, where=onnx_path, largest=largest)
        if not problem:
            refuse_invalid(model, onnx_path, f"conversion to {precision}")
    if not result.converted:
        model.proto = original
    write_model(model, output_path)
    return result


def convert(
    model: Model,
    precision: HalfPrecision,
    keep_fp32: Sequence[str],
    *,
    where: Path,
    largest: Mapping[str, float] | None = None,
) -> ConversionResult:
    """Convert a flattened fp32 model in place; return what was converted. ``largest``: as for `make_plan`.

    ``where``: the path of the model, for messages. Raises ConfigError if an entry of ``keep_fp32`` matches no node.
    """
    from c10.conversion.opset import raise_opset
    from c10.conversion.plan import make_plan, unmatched
    from c10.conversion.rewrite import rewrite

    raise_opset(model, precision)
    plan = make_plan(model, precision, keep_fp32, largest)
    if strangers := unmatched(plan.steps, keep_fp32):
        raise ConfigError(
            f"{where}: keep_fp32: expected operator types and node names of this network, got {', '.join(strangers)}",
            remedy="Correct or remove them; '/encoder/*' matches every node whose name begins with /encoder/.",
        )
    result = ConversionResult(
        converted=plan.converts,
        weight_share=plan.weight_share(),
        kept=plan.kept(),
        computing_layers=plan.computing_layers(),
    )
    if result.converted:
        rewrite(model, plan)
    return result


def refuse_invalid(model: Model, onnx_path: Path, change: str) -> None:
    """Raise EngineBuildError if a model is not valid ONNX. For models that were valid before c10 changed them.

    ``change``: what c10 did to the model, for the message.
    """
    from c10.conversion.check import problem_of

    if problem := problem_of(model):
        raise EngineBuildError(
            f"{onnx_path}: {change}: expected c10 to keep a valid model valid, got: {problem}",
            remedy='This is a defect of c10, not of the model: please report it. Until then use precision = "fp32".',
        )
