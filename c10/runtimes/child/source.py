"""Prepares the network for TensorRT: unchanged, or converted by c10 and then checked.

That depends on the network's precision (``c10.conversion.precision``) and on the backbone's ``precision`` and
``conversion``. docs/precision.md has the table.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from c10.conversion.check import problem_of
from c10.conversion.convert import convert, refuse_invalid
from c10.conversion.dimensions import set_placeholders_apart
from c10.conversion.flatten import flatten
from c10.conversion.model import Model
from c10.conversion.precision import NetworkPrecision, precision_of
from c10.conversion.report import NetworkReport
from c10.conversion.result import kept_by_reason
from c10.conversion.storage import EMBEDDED_MAX, read_model, to_bytes, weight_bytes, write_model
from c10.corpus.spec import BuildConfig
from c10.errors import C10Error, EngineBuildError
from c10.files.publish import publishing, temporary_path
from c10.runtimes.messages import CompileJob

_CONVERTIBLE: Final = frozenset({"fp16", "bf16"})


@dataclass(frozen=True, slots=True)
class Source:
    """The network for TensorRT's parser."""

    path: Path
    """The file to parse if ``content`` is None; external data is found relative to it."""
    content: bytes | None
    """The model as bytes; None if the parser is to read the file."""
    report: NetworkReport
    """What c10 did to the network, for the record."""


@contextmanager
def source_of(job: CompileJob, *, strong: bool, progress: Callable[[str], None]) -> Iterator[Source]:
    """Yield the network in the form that ``job`` asks for.

    ``strong``: whether the network is built strongly typed. ``progress`` is called with the name of a phase. Raises
    EngineBuildError if the network cannot have the precision in the engine's name, ConfigError for an entry of
    keep_fp32 that matches no node, SourceError and PublishError.
    """
    with _examining(job.onnx_path), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, report = _prepare(job, strong=strong, progress=progress)
    said = tuple(dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught))
    report = replace(report, warnings=said)
    if not (report.converted or report.renamed_dimensions):
        yield Source(job.onnx_path, None, report)
    elif weight_bytes(model) <= EMBEDDED_MAX:
        yield Source(job.onnx_path, to_bytes(model), report)
    else:
        with _written(model, beside=job.output_path) as path:
            yield Source(path, None, report)


def _prepare(job: CompileJob, *, strong: bool, progress: Callable[[str], None]) -> tuple[Model, NetworkReport]:
    config = job.build_config
    model = read_model(job.onnx_path)
    model.proto = flatten(model.proto)
    network = precision_of(model)
    refuse_precision(job.onnx_path, config, network, strong=strong)
    is_fp32 = network.of == "fp32" and config.precision in _CONVERTIBLE
    problem = ""
    report = NetworkReport(types_from="network", share=network.share)
    if is_fp32 and not strong:
        report = NetworkReport(types_from="builder")
    elif is_fp32:
        progress(f"Converting to {config.precision}")
        problem = problem_of(model)
        report = _converted(job, model, problem)
    renamed = set_placeholders_apart(model.proto, config.profiles)
    if (report.converted or renamed) and not problem:
        refuse_invalid(model, job.onnx_path, f"conversion to {config.precision}" if report.converted else "renaming")
    return model, replace(report, renamed_dimensions=renamed)


def _converted(job: CompileJob, model: Model, problem: str) -> NetworkReport:
    """Convert the model in place. Raises EngineBuildError if no layer would compute in the precision."""
    precision = job.build_config.precision
    assert precision == "fp16" or precision == "bf16"  # noqa: S101, PLR1714 - for the type checker
    result = convert(model, precision, job.build_config.options.keep_fp32, where=job.onnx_path)
    kept = kept_by_reason(result.kept)
    if not result.computing_layers:
        raise EngineBuildError(
            f"{job.onnx_path}: precision {precision}: expected a layer that can compute in it, got none",
            log=tuple(f"{group.nodes} × {group.operator}: {group.reason}" for group in kept),
            remedy='Use precision = "fp32" for this network.',
        )
    return NetworkReport(
        types_from="conversion",
        share=result.weight_share,
        computing_layers=result.computing_layers,
        kept=kept,
        onnx_problem=problem,
    )


def refuse_precision(onnx_path: Path, config: BuildConfig, network: NetworkPrecision, *, strong: bool) -> None:
    """Raise EngineBuildError if the engine would not have the precision in its name."""
    problem, remedy = _contradiction(config, network, strong=strong)
    if problem:
        raise EngineBuildError(f"{onnx_path}: precision {config.precision}: {problem}", remedy=remedy)


def _contradiction(config: BuildConfig, network: NetworkPrecision, *, strong: bool) -> tuple[str, str]:
    """Return a problem with the precision, and its remedy; two empty strings if there is none."""
    wanted = config.precision
    foreign = sorted(network.quantized - {wanted})
    if foreign and wanted not in network.quantized:
        names = " and ".join(foreign)
        return f"expected a network without {names}, got one with Q/DQ nodes of {names}", _set(foreign[0])
    if wanted in {"int8", "fp8"}:
        calibrated = wanted == "int8" and config.options.calibration_cache is not None and not strong
        missing = not calibrated and wanted not in network.quantized
        problem = f"expected a network with Q/DQ nodes of {wanted}, got one without" if missing else ""
        return problem, _set(network.of)
    if network.of not in {"fp32", wanted}:
        expected = wanted if wanted == "fp32" else f"{wanted} or fp32"
        return f"expected a network of {expected}, got one of {network.of}", _set(network.of)
    return _unconverted(config, network, strong=strong)


def _unconverted(config: BuildConfig, network: NetworkPrecision, *, strong: bool) -> tuple[str, str]:
    """Return a problem with building a network unconverted, and its remedy, as _contradiction does."""
    wanted, options = config.precision, config.options
    if options.conversion == "never" and network.of != wanted:
        remedy = f'Set precision = "{network.of}", or conversion = "auto" to have c10 convert the network.'
        return f"expected a network of {wanted}, since conversion is never; got one of {network.of}", remedy
    if options.keep_fp32 and network.of == wanted:
        return f"expected a network to convert, since keep_fp32 is set; got one of {wanted}", "Remove keep_fp32."
    if options.keep_fp32 and not strong:
        remedy = 'Remove keep_fp32, or set conversion = "always" to have c10 convert the network.'
        return (
            "expected a network that c10 converts, since keep_fp32 is set; this builder chooses the types itself",
            remedy,
        )
    return "", ""


def _set(precision: str) -> str:
    return f'Set precision = "{precision}" for this backbone, or export the network in the precision that you want.'


@contextmanager
def _examining(onnx_path: Path) -> Iterator[None]:
    """Turn any exception of onnx into an EngineBuildError: a malformed model makes it raise many types."""
    try:
        yield
    except (C10Error, MemoryError):
        raise
    except Exception as error:
        raise EngineBuildError(
            f"{onnx_path}: expected a network that onnx can read, got {type(error).__name__}: {error}",
            remedy="Check the file with onnx.checker.check_model(path, full_check=True), and export it again.",
        ) from error


@contextmanager
def _written(model: Model, *, beside: Path) -> Iterator[Path]:
    """Write a model too large for one message to a temporary folder beside the engine; yield its path."""
    folder = temporary_path(beside)
    try:
        with publishing(beside, "write the converted network beside it during the build"):
            folder.mkdir(parents=True)
        write_model(model, folder / "model.onnx")
        yield folder / "model.onnx"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
