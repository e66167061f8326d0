"""What is to be measured, as it goes to the measuring process (one line of JSON), and the report that answers it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from c10.conversion.result import HalfPrecision
from c10.corpus.spec import OptimizationProfile
from c10.measurement.report import MeasurementReport, OutputDeviation
from c10.measurement.samples import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementLimits:
    """What a measurement may take; one that takes more is broken off, and the report says so."""

    seconds: int = 600
    """Wall-clock time, both networks loaded and run on all inputs."""
    memory_mb: int | None = None
    """MiB of memory that the measuring process may allocate; None for four fifths of what is available at its start."""
    threads: int = 0
    """Threads that compute; 0 for one a core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementJob:
    """One measurement."""

    onnx_path: Path
    """The user's ONNX."""
    converted_path: Path
    """The network that c10 made of it; a file that is too large for memory is written beside it for a while."""
    precision: HalfPrecision
    """The precision of the converted network."""
    profiles: tuple[OptimizationProfile, ...] = ()
    """The optimization profiles: synthetic inputs have their ``opt`` shapes, samples are within one of them."""
    samples: Samples | None = None
    """The user's samples; None for synthetic inputs."""
    limits: MeasurementLimits = field(default_factory=MeasurementLimits)
    """What the measurement may take."""


def encode_job(job: MeasurementJob) -> str:
    """Return the job as one line."""
    return json.dumps(asdict(job), default=str)


def decode_job(line: str) -> MeasurementJob:
    """Return the job that a line holds."""
    job = json.loads(line)
    samples = job["samples"]
    return MeasurementJob(
        onnx_path=Path(job["onnx_path"]),
        converted_path=Path(job["converted_path"]),
        precision=job["precision"],
        profiles=tuple(map(OptimizationProfile.from_json, job["profiles"])),
        samples=Samples(Path(samples["folder"]), tuple(samples["names"]), samples["sha256"]) if samples else None,
        limits=MeasurementLimits(**job["limits"]),
    )


def report_of(
    job: MeasurementJob,
    *,
    inputs: int = 0,
    outputs: tuple[OutputDeviation, ...] = (),
    library: str = "",
    not_measured: str = "",
) -> MeasurementReport:
    """Return the report of a job: what was found, or why there is nothing. The fields are those of the report."""
    return MeasurementReport(
        precision=job.precision,
        inputs_from="samples" if job.samples else "synthetic",
        samples_sha256=job.samples.sha256 if job.samples else "",
        inputs=inputs,
        outputs=outputs,
        library=library,
        not_measured=not_measured,
    )
