"""The composition root: corpus + machine + environment → the engines to have.

doit, EngineCompiler, the commands and the image all come here for host, runtime, signing policy and targets, so they
cannot differ in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from c10.console import events
from c10.corpus.config import C10ProvisioningConfig, build_backbone_specs
from c10.corpus.runtimes import KIND_OF_WORD, RUNTIME_OF, RUNTIMES, RuntimeChoice, RuntimeKind
from c10.corpus.spec import BackboneSpec, Precision
from c10.corpus.target import EngineTarget, engine_target
from c10.host import HostCapabilities, probe_host
from c10.runtimes.adapter import stated_kind
from c10.runtimes.protocol import CompileEngineCallable
from c10.runtimes.select import choose_runtime
from c10.signing.policy import SigningPolicy


def corpus_targets(
    config: str | Path | C10ProvisioningConfig,
    *,
    host: HostCapabilities | None = None,
    runtime: CompileEngineCallable | None = None,
    warn: bool = True,
) -> list[EngineTarget]:
    """Return the engines of a configuration on a host, in order. Raises ConfigError and HostProbeError.

    ``host`` None: this machine. ``runtime`` None: c10's own. ``warn``: log what is allowed and probably a mistake.
    """
    if not isinstance(config, C10ProvisioningConfig):
        config = C10ProvisioningConfig.load(config)
    return engine_targets(
        build_backbone_specs(config),
        cache_root=config.cache_root,
        precision=config.precision,
        workspace_mb=config.workspace_mb,
        signing=config.signing,
        choice=config.runtime,
        jetpack=config.jetpack,
        host=host,
        runtime=runtime,
        warn=warn,
    )


def engine_targets(
    backbones: Sequence[BackboneSpec],
    *,
    cache_root: Path,
    precision: Precision,
    workspace_mb: int,
    signing: SigningPolicy,
    choice: RuntimeChoice = "auto",
    jetpack: str | None = None,
    host: HostCapabilities | None = None,
    runtime: CompileEngineCallable | None = None,
    warn: bool = True,
) -> list[EngineTarget]:
    """Return the engines of these backbones on a host, in order; the arguments are those of ``corpus_targets``.

    ``jetpack``: what a container says about the JetPack that it cannot find. Raises ConfigError and HostProbeError.
    """
    if not backbones:
        return []
    kind, host = _kind_and_host(runtime, choice, host, jetpack)
    policy = signing_policy(signing)
    targets = [
        engine_target(
            spec,
            host=host,
            runtime=kind,
            cache_root=cache_root,
            precision=precision,
            workspace_mb=workspace_mb,
            signing=policy,
        )
        for spec in backbones
    ]
    for target in targets if warn else ():
        _warn_of_small_memory(target)
    return targets


def signing_policy(stated: SigningPolicy) -> SigningPolicy:
    """Return the policy of a run: the stated one, with the private key that the environment names, if it names one."""
    return stated.with_environment()


def _kind_and_host(
    runtime: CompileEngineCallable | None, choice: RuntimeChoice, host: HostCapabilities | None, jetpack: str | None
) -> tuple[RuntimeKind, HostCapabilities]:
    if runtime is None:
        return choose_runtime(choice, host, jetpack=jetpack)
    host = host or probe_host(jetpack=jetpack)
    return _kind_of(runtime, choice, host), host


def _kind_of(runtime: CompileEngineCallable, choice: RuntimeChoice, host: HostCapabilities) -> RuntimeKind:
    """Return the kind that an injected runtime states itself, otherwise the configuration, otherwise the host."""
    if (said := stated_kind(runtime)) is not None:
        return said
    if choice != "auto":
        return KIND_OF_WORD[choice]
    there = [row for row in RUNTIMES if getattr(host, row.version_fact) is not None]
    return (there or RUNTIMES[-1:])[0].kind


def _warn_of_small_memory(target: EngineTarget) -> None:
    memory, workspace = target.host.memory_mb, target.build_config.workspace_mb
    if RUNTIME_OF[target.runtime].on_device and memory is not None and memory < 2 * workspace:
        events.workspace_large(target, memory)
