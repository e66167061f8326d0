"""Spec + host → the target: the engine that is wanted, and its paths."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from c10.corpus.runtimes import RUNTIME_OF, RUNTIMES, RuntimeKind
from c10.corpus.spec import (
    DEFAULT_PRECISION,
    DEFAULT_WORKSPACE_MB,
    BackboneSpec,
    BuildConfig,
    Precision,
)
from c10.errors import ConfigError, HostProbeError, InvalidEngineNameError
from c10.files.naming import EngineFilenameSchema, EnginePaths
from c10.host.capabilities import HostCapabilities
from c10.signing.policy import SigningPolicy

#: The placeholders in cache_root, and the attributes of HostCapabilities that replace them.
PLACEHOLDERS: Final = {"{device}": "device_name", "{sm_count}": "sm_count"}
PLACEHOLDER: Final = re.compile("|".join(map(re.escape, PLACEHOLDERS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTarget:
    """The engine that a backbone means on one host. Every later step reads it."""

    model_name: str
    """The backbone's name."""
    onnx_path: Path
    """The model."""
    build_config: BuildConfig
    """Precision, workspace, shapes and options, with defaults filled in."""
    host: HostCapabilities
    """The machine that the engine is for."""
    runtime: RuntimeKind
    """The TensorRT that builds it."""
    engine_path: Path
    """Where the engine belongs, whether it exists or not."""
    signing: SigningPolicy = field(default_factory=SigningPolicy)
    """The rules for its signature."""

    @property
    def paths(self) -> EnginePaths:
        """The paths of the engine's four files."""
        return EnginePaths.of(self.engine_path)

    def files(self) -> list[Path]:
        """Return the paths of engine, sidecar and record, and of the envelope if there is one or should be."""
        paths = self.paths
        files = [paths.engine, paths.sidecar, paths.record]
        if self.signing.expects_signature or os.path.exists(paths.envelope):  # noqa: PTH110 - Path.exists raises
            files.append(paths.envelope)
        return files

    @property
    def runtime_version(self) -> str:
        """The full version of the TensorRT that builds it, on ``host``. Raises HostProbeError if it has none."""
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
    """Return the engine of ``spec`` on ``host``.

    ``precision`` and ``workspace_mb`` (MiB) are for a spec that does not set its own; ``signing=None`` means unsigned.
    Raises ConfigError if the parts do not form a valid engine name, and HostProbeError if the host lacks a fact that
    the name needs.
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
    """Return the path with ``{device}`` and ``{sm_count}`` filled in; "unknown" for a fact that the host lacks."""
    if "{" not in (text := str(cache_root)):
        return cache_root
    device = "-".join((host.device_name or "unknown").lower().replace("/", " ").split())
    return Path(text.replace("{device}", device).replace("{sm_count}", str(host.sm_count or "unknown")))


def runtime_version(runtime: RuntimeKind, host: HostCapabilities) -> str:
    """Return the full version of a TensorRT on a host. Raises HostProbeError if the host does not have it."""
    row = RUNTIME_OF[runtime]
    version: str | None = getattr(host, row.version_fact)
    if version is None:
        raise HostProbeError(f"host: expected {row.product}, found none")
    return version


def _sm(config: BuildConfig, host: HostCapabilities, runtime: RuntimeKind) -> str:
    row = RUNTIME_OF[runtime]
    if not row.on_device:
        return ".".join(config.options.compute_capabilities) or row.default_targets
    if host.sm is None:
        words = " or ".join(f'"{other.word}"' for other in RUNTIMES if not other.on_device)
        raise HostProbeError(
            "host: expected a GPU, found none",
            remedy=f"{row.product} builds on the device itself; without a GPU use runtime = {words}.",
        )
    return "80+" if config.options.hardware_compatibility == "ampere_plus" else host.sm
