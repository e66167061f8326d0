"""`convert_network` writes the ONNX that a build would give to a strongly typed TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from c10.conversion.model import copy_of
from c10.conversion.result import ConversionResult, HalfPrecision
from c10.errors import ConfigError, EngineBuildError

if TYPE_CHECKING:
    from c10.conversion.model import Model


def convert_network(
    onnx_path: str | Path, output_path: str | Path, *, precision: HalfPrecision, keep_fp32: Sequence[str] = ()
) -> ConversionResult:
    """Write the network of ``onnx_path`` in ``precision`` to ``output_path``, as a build would give it to TensorRT.

    Inputs and outputs keep their names and types. Values that do not fit into ``precision`` stay fp32, and so do the
    nodes that ``keep_fp32`` names by operator type or by a pattern of their name (as in `fnmatch`). Values of other
    types do not change. ``output_path`` is replaced atomically, even if nothing is converted; weights of more than
    1 GiB go to ``<output_path>.data`` beside it. Needs the package onnx.

    Raises SourceError if the file cannot be read, EngineBuildError if it is not ONNX or if the conversion made a valid
    model invalid, PublishError if the result cannot be written, and ConfigError for an unknown precision and for an
    entry of ``keep_fp32`` that matches no node.
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
        result = convert(model, precision, keep_fp32, where=onnx_path)
        if not problem:
            refuse_invalid(model, onnx_path, f"conversion to {precision}")
    if not result.converted:
        model.proto = original
    write_model(model, output_path)
    return result


def convert(model: Model, precision: HalfPrecision, keep_fp32: Sequence[str], *, where: Path) -> ConversionResult:
    """Convert a flattened fp32 model in place; return what was converted.

    ``where``: the path of the model, for messages. Raises ConfigError if an entry of ``keep_fp32`` matches no node.
    """
    from c10.conversion.opset import raise_opset
    from c10.conversion.plan import make_plan, unmatched
    from c10.conversion.rewrite import rewrite

    raise_opset(model, precision)
    plan = make_plan(model, precision, keep_fp32)
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
