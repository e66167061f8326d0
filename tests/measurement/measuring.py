"""Measuring models that lie in memory, in this process or in one of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from c10.conversion.flatten import flatten
from c10.conversion.model import Model
from c10.conversion.storage import read_model
from c10.measurement.compare import compare
from c10.measurement.emulation import emulate
from c10.measurement.job import MeasurementJob
from c10.measurement.network import Network, source_of
from c10.measurement.report import MeasurementReport
from c10.measurement.samples import find_samples

Feeds = Mapping[str, Any]


def job_of(
    folder: Path, original: onnx.ModelProto, converted: onnx.ModelProto, samples: Iterable[Feeds] = (), **options: Any
) -> MeasurementJob:
    """Write both models and the samples to a folder; without samples the inputs are synthetic."""
    (folder / "original.onnx").write_bytes(original.SerializeToString())
    (folder / "converted.onnx").write_bytes(converted.SerializeToString())
    for number, feeds in enumerate(samples):
        np.savez(folder / f"sample{number}.npz", **feeds)
    found = find_samples(folder, "sample*.npz") if any(folder.glob("sample*.npz")) else None
    return MeasurementJob(
        onnx_path=folder / "original.onnx",
        converted_path=folder / "converted.onnx",
        **{"precision": "fp16", "samples": found, **options},
    )


def measured(
    folder: Path, original: onnx.ModelProto, converted: onnx.ModelProto, samples: Iterable[Feeds] = (), **options: Any
) -> MeasurementReport:
    """Measure in this process."""
    job = job_of(folder, original, converted, samples, **options)
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / "work").mkdir()
    return compare(job, folder / "work")


def model_of(proto: onnx.ModelProto, folder: Path) -> Model:
    """Return a flattened model."""
    (folder / "read.onnx").write_bytes(proto.SerializeToString())
    model = read_model(folder / "read.onnx")
    model.proto = flatten(model.proto)
    return model


def emulated(proto: onnx.ModelProto, folder: Path) -> Model:
    """Return a model as it is run."""
    model = model_of(proto, folder)
    emulate(model)
    return model


def run(proto: onnx.ModelProto, feeds: Feeds, folder: Path) -> list[Any]:
    """Return what a model of 16 bits computes, every value rounded."""
    return Network(source_of(emulated(proto, folder), folder), threads=1, what="the model").run(feeds)
