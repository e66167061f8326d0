"""A stand-in for a compiler: as fast as writing a file, and through the real Sha256Sidecar.

A dodo.py in a temporary folder imports it too, so it needs nothing but c10.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c10.corpus.spec import BuildConfig
from c10.errors import CalibrationCacheError, EngineBuildError
from c10.files.naming import EngineFilenameSchema
from c10.files.sidecar import Sha256Sidecar
from c10.host import HostCapabilities
from c10.runtimes.protocol import EngineCacheEntry, ProgressCallback

PLAN = "fake.json"


@dataclass(frozen=True)
class FakeRuntime:
    """Writes an engine that depends on all it was given; ``failures`` says for which models it raises what."""

    calls: Path
    failures: Mapping[str, str] = field(default_factory=dict)

    def compile_engine(
        self,
        onnx_path: Path,
        build_config: BuildConfig,
        output_path: Path,
        *,
        progress: ProgressCallback | None = None,  # noqa: ARG002 - a fake has no phases
    ) -> EngineCacheEntry:
        model_name = EngineFilenameSchema.parse(output_path.name).model_name
        with self.calls.open("a") as calls:
            calls.write(f"{model_name}\n")
        if model_name in self.failures:
            # As a compiler that dies half-way: a temporary file stays behind.
            output_path.parent.mkdir(parents=True, exist_ok=True)
            output_path.with_name(f".{output_path.name}.0123456789abcdef.tmp").write_bytes(b"half an engine")
            raise _failure(self.failures[model_name], model_name)
        digest = hashlib.sha256(onnx_path.read_bytes() + repr(build_config).encode()).hexdigest()
        data = f"fake engine {model_name} {digest}\n".encode() * 64
        sha256 = Sha256Sidecar.write_atomic_and_sidecar(output_path, data)
        return EngineCacheEntry(engine_path=output_path, sha256=sha256)


def _failure(kind: str, model_name: str) -> Exception:
    if kind == "CalibrationCacheError":
        return CalibrationCacheError(
            f"{model_name}: calibration_cache: expected a cache of TensorRT 10.3, got an empty file",
            calibration_path=Path("calibration", f"{model_name}.cache"),
            remedy="Calibrate again.",
        )
    if kind == "EngineBuildError":
        return EngineBuildError(
            f"{model_name}: build: expected an engine, got none", log=("the builder's own words",), remedy="Look at it."
        )
    return RuntimeError(f"{model_name}: the runtime has a defect")


def planned(folder: Path = Path()) -> tuple[HostCapabilities, FakeRuntime]:
    """Return the host and the runtime that a folder's ``fake.json`` describes."""
    plan = json.loads((folder / PLAN).read_text("utf-8"))
    return HostCapabilities(**plan["host"]), FakeRuntime((folder / "calls.txt").absolute(), plan["failures"])
