"""The network as TensorRT is to be given it: taken as it is, or changed by c10 and checked. Runs in the child.

Which of the two follows from one question, which precision the network has (``c10.conversion.precision``), and from the
backbone's ``precision`` and ``conversion``. docs/precision.md has the table.
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
    """What the parser reads: ``content``, or the file at ``path`` if that is None. ``report`` is for the record."""

    path: Path
    content: bytes | None
    report: NetworkReport


@contextmanager
def source_of(job: CompileJob, *, strong: bool, progress: Callable[[str], None]) -> Iterator[Source]:
    """Give the network in the form that ``job`` asks for; ``strong``: its own types decide.

    Raises EngineBuildError if the network cannot have the precision that the engine's name says, SourceError and
    PublishError.
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
    """Convert the model in place; raise EngineBuildError if no layer of it computes in the precision then."""
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
    """Raise EngineBuildError if the engine would not have the precision that its name says."""
    problem, remedy = _contradiction(config, network, strong=strong)
    if problem:
        raise EngineBuildError(f"{onnx_path}: precision {config.precision}: {problem}", remedy=remedy)


def _contradiction(config: BuildConfig, network: NetworkPrecision, *, strong: bool) -> tuple[str, str]:
    """Return what speaks against the precision and what to do about it; "" and "" if nothing does."""
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
    """Return what speaks against leaving a network unconverted that fits otherwise, as _contradiction does."""
    wanted, options = config.precision, config.options
    if options.conversion == "never" and network.of != wanted:
        remedy = f'Set precision = "{network.of}", or conversion = "auto" to have c10 convert the network.'
        return f"expected a network of {wanted}, since conversion is never; got one of {network.of}", remedy
    if options.keep_fp32 and network.of == wanted:
        return f"expected a network to convert, since keep_fp32 is set; got one of {wanted}", "Remove keep_fp32."
    if options.keep_fp32 and not strong:
        remedy = 'Remove keep_fp32, or set conversion = "always" to have c10 convert the network.'
        return "expected a network that c10 converts, since keep_fp32 is set; this builder converts it itself", remedy
    return "", ""


def _set(precision: str) -> str:
    return f'Set precision = "{precision}" for this backbone, or export the network in the precision that you want.'


@contextmanager
def _examining(onnx_path: Path) -> Iterator[None]:
    """Raise EngineBuildError for what onnx does not expect of a model: it raises anything for a malformed one."""
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
    """Write a model that is too large for memory beside the engine, for the length of the block."""
    folder = temporary_path(beside)
    try:
        with publishing(beside, "write the converted network beside it for the length of the build"):
            folder.mkdir(parents=True)
        write_model(model, folder / "model.onnx")
        yield folder / "model.onnx"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
