"""Spec + host → the engine that is wanted, and where it lies."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from c10.corpus.runtimes import RUNTIME_OF, RuntimeKind
from c10.corpus.spec import (
    DEFAULT_PRECISION,
    DEFAULT_WORKSPACE_MB,
    BackboneSpec,
    BuildConfig,
    Precision,
)
from c10.errors import ConfigError, HostProbeError, InvalidEngineNameError
from c10.files.naming import EngineFilenameSchema, record_path, signature_path
from c10.files.sidecar import Sha256Sidecar
from c10.host.capabilities import HostCapabilities
from c10.signing.policy import SigningPolicy

#: What a cache_root may be named by: the placeholder, and the fact of the host that takes its place.
PLACEHOLDERS: Final = {"{device}": "device_name", "{sm_count}": "sm_count"}
PLACEHOLDER: Final = re.compile("|".join(map(re.escape, PLACEHOLDERS)))

#: What TensorRT-RTX compiles for where it is told nothing: Ampere to Blackwell, and later ones.
RTX_DEFAULT_SM: Final = "80.86.89.120+"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTarget:
    """One engine that a corpus wants on one host: the value that every later step reads."""

    model_name: str
    onnx_path: Path
    build_config: BuildConfig
    host: HostCapabilities
    runtime: RuntimeKind
    engine_path: Path
    signing: SigningPolicy = field(default_factory=SigningPolicy)

    @property
    def sidecar_path(self) -> Path:
        """Where the digest lies."""
        return Sha256Sidecar.path(self.engine_path)

    @property
    def record_path(self) -> Path:
        """Where the build record lies."""
        return record_path(self.engine_path)

    @property
    def signature_path(self) -> Path:
        """Where the signed record lies, where there is one."""
        return signature_path(self.engine_path)

    def files(self) -> list[Path]:
        """Return the engine's files: three, and the signature where there is one or has to be."""
        files = [self.engine_path, self.sidecar_path, self.record_path]
        if self.signing.expects_signature or os.path.exists(self.signature_path):  # noqa: PTH110 - Path.exists raises
            files.append(self.signature_path)
        return files

    @property
    def runtime_version(self) -> str:
        """The full version of the TensorRT that builds it."""
        return runtime_version(self.runtime, self.host)


def engine_target(
    spec: BackboneSpec,
    *,
    host: HostCapabilities,
    runtime: RuntimeKind,
    cache_root: Path,
    precision: Precision = DEFAULT_PRECISION,
    workspace_mb: int = DEFAULT_WORKSPACE_MB,
    signing: SigningPolicy | None = None,
) -> EngineTarget:
    """Name the engine of ``spec`` on ``host``; the spec's own precision and workspace win over the arguments.

    Raises ConfigError (a name outside the schema) and HostProbeError (a host that cannot be named).
    """
    config = BuildConfig(
        precision=spec.precision or precision,
        workspace_mb=spec.workspace_mb or workspace_mb,
        profiles=spec.shape_profiles(),
        options=spec.options,
    )
    try:
        name = EngineFilenameSchema.build(
            model_name=spec.model_name,
            sm=_sm(config, host, runtime),
            jp=host.jp if RUNTIME_OF[runtime].on_device else "none",
            trt=".".join(runtime_version(runtime, host).split(".")[:2]),
            precision=config.precision,
            runtime=runtime,
        )
    except InvalidEngineNameError as error:
        raise ConfigError(f"backbone {spec.model_name!r}: {error.message}") from error
    return EngineTarget(
        model_name=spec.model_name,
        onnx_path=spec.onnx_path,
        build_config=config,
        host=host,
        runtime=runtime,
        engine_path=expand_cache_root(cache_root, host) / name,
        signing=signing or SigningPolicy(),
    )


def expand_cache_root(cache_root: Path, host: HostCapabilities) -> Path:
    """Fill in ``{device}`` and ``{sm_count}``, for hosts that share a name and not a build record."""
    if "{" not in (text := str(cache_root)):
        return cache_root
    device = "-".join((host.device_name or "unknown").lower().replace("/", " ").split())
    return Path(text.replace("{device}", device).replace("{sm_count}", str(host.sm_count or "unknown")))


def runtime_version(runtime: RuntimeKind, host: HostCapabilities) -> str:
    """Return the full version of that TensorRT on that host; raise HostProbeError where it has none."""
    row = RUNTIME_OF[runtime]
    version: str | None = getattr(host, row.version_fact)
    if version is None:
        raise HostProbeError(f"host: expected {row.product}, found none")
    return version


def _sm(config: BuildConfig, host: HostCapabilities, runtime: RuntimeKind) -> str:
    if not RUNTIME_OF[runtime].on_device:
        return ".".join(config.options.compute_capabilities) or RTX_DEFAULT_SM
    if host.sm is None:
        raise HostProbeError(
            "host: expected a GPU, found none",
            remedy='TensorRT builds on the device itself; without a GPU use runtime = "tensorrt_rtx".',
        )
    return "80+" if config.options.hardware_compatibility == "ampere_plus" else host.sm
