"""c10: TensorRT engines, compiled on the device and reused only when every byte is proved right.

Names are imported when they are first used: the process that flies wants ``load_engine`` and not doit. Type checkers
read ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from c10.version import __version__

_HOMES = {
    "c10.building.planning": ("PlannedEngine", "plan_corpus"),
    "c10.building.sign": ("sign_engine",),
    "c10.conversion.report": ("KeptNodes", "NetworkReport"),
    "c10.conversion.result": ("ConversionResult", "KeptNode"),
    "c10.corpus.config": ("BackboneConfig", "C10ProvisioningConfig", "ImageConfig", "build_backbone_specs"),
    "c10.corpus.runtimes": ("RuntimeChoice",),
    "c10.corpus.spec": (
        "BackboneSpec",
        "BuildConfig",
        "BuildOptions",
        "HardwareCompatibility",
        "OptimizationProfile",
        "Precision",
        "Shape",
        "ShapeRange",
    ),
    "c10.errors": (
        "BuildKeyMismatchError",
        "C10Error",
        "CalibrationCacheError",
        "ConfigError",
        "DigestMismatchError",
        "EngineBuildError",
        "HostMismatchError",
        "HostProbeError",
        "ImageError",
        "InvalidEngineNameError",
        "InvalidRecordError",
        "InvalidSidecarError",
        "InvalidSignatureError",
        "MissingRecordError",
        "MissingSidecarError",
        "MissingSignatureError",
        "PublishError",
        "RecordError",
        "RecordMismatchError",
        "RevokedSignatureError",
        "SigningError",
        "SourceError",
        "UnreadableEngineError",
        "UntrustedSignatureError",
        "VerificationError",
    ),
    "c10.files.naming": ("EngineFilenameSchema", "EngineName"),
    "c10.files.sidecar": ("Sha256Sidecar",),
    "c10.host": ("HostCapabilities", "probe_host"),
    "c10.plugin.compiler": (
        "EngineCompileRequest",
        "EngineCompileResult",
        "EngineCompileSummary",
        "EngineCompiler",
        "build_engine_compiler",
    ),
    "c10.measurement.convert": ("convert_network",),
    "c10.proof.load": ("load_engine",),
    "c10.proof.record": ("BuildRecord", "read_record"),
    "c10.runtimes.protocol": (
        "BuildProgress",
        "CompileEngineCallable",
        "CompileOutcome",
        "EngineCacheEntry",
        "ProgressCallback",
    ),
    "c10.signing.policy": ("SigningPolicy",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604 # pyright: ignore[reportUnsupportedDunderAll] - the stub lists them


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'c10' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
