"""The composition root: configuration + machine → the engines that are wanted. May import all that knows not doit."""

from __future__ import annotations

from pathlib import Path

from c10.building import events
from c10.corpus.config import C10ProvisioningConfig, build_backbone_specs
from c10.corpus.spec import RuntimeChoice, RuntimeKind
from c10.corpus.target import EngineTarget, engine_target
from c10.host import HostCapabilities, probe_host
from c10.runtimes.protocol import CompileEngineCallable
from c10.runtimes.select import choose_runtime


def corpus_targets(
    config: str | Path | C10ProvisioningConfig,
    *,
    host: HostCapabilities | None = None,
    runtime: CompileEngineCallable | None = None,
    warn: bool = True,
) -> list[EngineTarget]:
    """Return the engines that a corpus wants on a host, in order. Raises ConfigError and HostProbeError.

    ``warn``: log what is allowed and probably not meant.
    """
    if not isinstance(config, C10ProvisioningConfig):
        config = C10ProvisioningConfig.load(config)
    if not config.backbones:
        return []
    if runtime is None:
        kind, host = choose_runtime(config.runtime, host, jetpack=config.jetpack)
    else:
        host = host or probe_host(jetpack=config.jetpack)
        kind = kind_of(runtime, config.runtime, host)
    signing = config.signing.with_environment()
    targets = [
        engine_target(
            spec,
            host=host,
            runtime=kind,
            cache_root=config.cache_root,
            precision=config.precision,
            workspace_mb=config.workspace_mb,
            signing=signing,
        )
        for spec in build_backbone_specs(config)
    ]
    for target in targets if warn else ():
        _warn_of_small_memory(target)
    return targets


def kind_of(runtime: CompileEngineCallable, choice: RuntimeChoice, host: HostCapabilities) -> RuntimeKind:
    """Return whose engines an injected runtime makes: what it says itself, else the configuration, else the host."""
    said = getattr(runtime, "kind", None)
    if said in {"trt", "rtx"}:
        return "rtx" if said == "rtx" else "trt"
    if choice != "auto":
        return "rtx" if choice == "tensorrt_rtx" else "trt"
    return "trt" if host.tensorrt_version is not None else "rtx"


def _warn_of_small_memory(target: EngineTarget) -> None:
    memory, workspace = target.host.memory_mb, target.build_config.workspace_mb
    if target.runtime == "trt" and memory is not None and memory < 2 * workspace:
        events.workspace_large(target, memory)
