"""The messages between c10 and its compiling child: lines of JSON.

The parent writes one line to the child's stdin, a CompileJob. The child writes lines to its stdout: any number of
progress and log, then either done or failed. Nothing is pickled.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from c10.corpus.runtimes import RuntimeKind
from c10.corpus.spec import BUILD_OPTIONS, BuildConfig, BuildOptions, OptimizationProfile
from c10.errors import CalibrationCacheError, ConfigError, EngineBuildError, PublishError, SourceError
from c10.runtimes.protocol import BuildProgress

BuildError = EngineBuildError | PublishError | SourceError | ConfigError

_ERRORS: dict[str, type[BuildError]] = {
    kind.__name__: kind for kind in (EngineBuildError, PublishError, SourceError, ConfigError)
}


@dataclass(frozen=True, slots=True)
class CompileJob:
    """Everything that the child needs to know for one compile."""

    runtime: RuntimeKind
    """The compiler to use."""
    version: str
    """The full version of the compiler, as probed and as the record will state it."""
    onnx_path: Path
    """The model."""
    build_config: BuildConfig
    """Precision, shapes and options."""
    output_path: Path
    """Where the engine goes; its sidecar goes beside it."""
    timing_cache_path: Path | None = None
    """TensorRT's timing cache; None to build without one."""


class MessageStream:
    """Writes messages as lines of JSON. Safe to use from several threads, as the builder does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **fields: Any) -> None:
        """Write one message: the name of the event, and its fields as JSON values."""
        with self._lock:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()

    def progress(self, progress: BuildProgress) -> None:
        """Write the builder's progress."""
        self.send("progress", phase=progress.phase, step=progress.step, steps=progress.steps)


def encode_job(job: CompileJob) -> str:
    """Return a job as one line of JSON."""
    return json.dumps(asdict(job), default=str)


def decode_job(line: str) -> CompileJob:
    """Return the job from the line that ``encode_job`` returned."""
    job = json.loads(line)
    config = job["build_config"]
    options = config["options"]
    profiles = tuple(map(OptimizationProfile.from_json, config["profiles"]))
    build_options = BuildOptions(**{row.name: row.form.from_json(options[row.name]) for row in BUILD_OPTIONS})
    return CompileJob(
        runtime=job["runtime"],
        version=job["version"],
        onnx_path=Path(job["onnx_path"]),
        build_config=BuildConfig(**{**config, "profiles": profiles, "options": build_options}),
        output_path=Path(job["output_path"]),
        timing_cache_path=Path(job["timing_cache_path"]) if job["timing_cache_path"] else None,
    )


def encode_error(error: BuildError) -> dict[str, Any]:
    """Return an error's class and attributes as JSON values."""
    return {
        "class": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "log": list(getattr(error, "log", ())),
        "calibration_path": str(getattr(error, "calibration_path", "")),
    }


def decode_error(fields: dict[str, Any]) -> BuildError:
    """Return the error from what ``encode_error`` returned, with its own type."""
    if fields["class"] == CalibrationCacheError.__name__:
        return CalibrationCacheError(
            fields["message"], calibration_path=Path(fields["calibration_path"]), remedy=fields["remedy"]
        )
    kind = _ERRORS[fields["class"]]
    if kind is EngineBuildError:
        return EngineBuildError(fields["message"], remedy=fields["remedy"], log=tuple(fields["log"]))
    return kind(fields["message"], remedy=fields["remedy"])
