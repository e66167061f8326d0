"""Runs the user's network and the converted one on the same inputs. Runs in the measuring process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c10.conversion.flatten import flatten
from c10.conversion.model import copy_of
from c10.conversion.rewrite import name_nodes_apart
from c10.conversion.storage import read_model
from c10.measurement.comparison import Comparison
from c10.measurement.emulation import emulate
from c10.measurement.inputs import Feeds, ModelInput, inputs_of
from c10.measurement.job import MeasurementJob, report_of
from c10.measurement.network import Network, has_links, refuse_without_rounding, source_of
from c10.measurement.report import MeasurementReport, NotMeasuredError
from c10.measurement.samples import read_samples
from c10.measurement.synthetic import synthetic_inputs


def compare(job: MeasurementJob, folder: Path) -> MeasurementReport:
    """Return how far the converted network is from the original; ``folder`` is empty and takes what must be on disk.

    Raises NotMeasuredError if one of them does not run, and SourceError for a sample that does not fit.
    """
    refuse_without_rounding(job.limits.threads)
    original, inputs = _original(job, folder)
    converted = _converted(job, folder)
    if original.output_names != converted.output_names:
        raise NotMeasuredError("the converted network has other outputs than the original")
    comparison = Comparison()
    for feeds in _feeds(job, inputs):
        comparison.add(original.output_names, original.run(feeds), converted.run(feeds))
    return report_of(job, inputs=comparison.inputs, outputs=comparison.deviations(), library=_library())


def _original(job: MeasurementJob, folder: Path) -> tuple[Network, tuple[ModelInput, ...]]:
    """Return the user's network and its inputs: nothing that c10 does may change what it computes."""
    model = read_model(job.onnx_path)
    source: Path | bytes = job.onnx_path
    if name_nodes_apart(model.proto.graph) or has_links(job.onnx_path):  # ONNX Runtime takes neither
        (folder / "original").mkdir()
        source = source_of(model, folder / "original")
    network = Network(source, threads=job.limits.threads, what="the original")
    model.proto = flatten(copy_of(model.proto))
    return network, inputs_of(model)


def _converted(job: MeasurementJob, folder: Path) -> Network:
    model = read_model(job.converted_path)
    model.proto = flatten(model.proto)
    emulate(model)
    (folder / "converted").mkdir()
    return Network(source_of(model, folder / "converted"), threads=job.limits.threads, what="the converted network")


def _feeds(job: MeasurementJob, inputs: tuple[ModelInput, ...]) -> Iterator[Feeds]:
    if job.samples is None:
        return synthetic_inputs(inputs, job.profiles)
    return read_samples(job.samples, inputs, job.profiles)


def _library() -> str:
    import onnxruntime as ort

    return f"onnxruntime {ort.__version__}"
