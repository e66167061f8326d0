"""c10: TensorRT engines, compiled on the device and reused only when every byte is proved right.

Names are imported when they are first used: the process that flies wants ``load_engine`` and not doit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from c10.version import __version__

if TYPE_CHECKING:
    from c10.building.sign import sign_engine
    from c10.conversion.convert import convert_network
    from c10.conversion.report import KeptNodes, NetworkReport
    from c10.conversion.result import ConversionResult, KeptNode
    from c10.corpus.config import BackboneConfig, C10ProvisioningConfig, build_backbone_specs
    from c10.corpus.spec import BackboneSpec, BuildConfig, BuildOptions, OptimizationProfile, ShapeRange
    from c10.errors import (
        BuildKeyMismatchError,
        C10Error,
        CalibrationCacheError,
        ConfigError,
        DigestMismatchError,
        EngineBuildError,
        HostMismatchError,
        HostProbeError,
        ImageError,
        InvalidEngineNameError,
        InvalidRecordError,
        InvalidSidecarError,
        InvalidSignatureError,
        MissingRecordError,
        MissingSidecarError,
        MissingSignatureError,
        PublishError,
        RecordError,
        RecordMismatchError,
        RevokedSignatureError,
        SigningError,
        SourceError,
        UnreadableEngineError,
        UntrustedSignatureError,
        VerificationError,
    )
    from c10.files.naming import EngineFilenameSchema, EngineName
    from c10.files.sidecar import Sha256Sidecar
    from c10.host import HostCapabilities
    from c10.plugin.compiler import (
        EngineCompiler,
        EngineCompileRequest,
        EngineCompileResult,
        EngineCompileSummary,
        build_engine_compiler,
    )
    from c10.proof.load import load_engine
    from c10.runtimes.protocol import BuildProgress, CompileEngineCallable, CompileOutcome, EngineCacheEntry
    from c10.signing.policy import SigningPolicy

_HOMES = {
    "c10.plugin.compiler": (
        "EngineCompiler",
        "EngineCompileRequest",
        "EngineCompileResult",
        "EngineCompileSummary",
        "build_engine_compiler",
    ),
    "c10.conversion.convert": ("convert_network",),
    "c10.conversion.report": ("KeptNodes", "NetworkReport"),
    "c10.conversion.result": ("ConversionResult", "KeptNode"),
    "c10.corpus.config": ("BackboneConfig", "C10ProvisioningConfig", "build_backbone_specs"),
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
    "c10.host": ("HostCapabilities",),
    "c10.proof.load": ("load_engine",),
    "c10.files.naming": ("EngineFilenameSchema", "EngineName"),
    "c10.runtimes.protocol": ("BuildProgress", "CompileEngineCallable", "CompileOutcome", "EngineCacheEntry"),
    "c10.files.sidecar": ("Sha256Sidecar",),
    "c10.signing.policy": ("SigningPolicy",),
    "c10.building.sign": ("sign_engine",),
    "c10.corpus.spec": ("BackboneSpec", "BuildConfig", "BuildOptions", "OptimizationProfile", "ShapeRange"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # a literal, as type checkers ask for; a test compares it with the table above
    "BackboneConfig",
    "BackboneSpec",
    "BuildConfig",
    "BuildKeyMismatchError",
    "BuildOptions",
    "BuildProgress",
    "C10Error",
    "C10ProvisioningConfig",
    "CalibrationCacheError",
    "CompileEngineCallable",
    "CompileOutcome",
    "ConfigError",
    "ConversionResult",
    "DigestMismatchError",
    "EngineBuildError",
    "EngineCacheEntry",
    "EngineCompileRequest",
    "EngineCompileResult",
    "EngineCompileSummary",
    "EngineCompiler",
    "EngineFilenameSchema",
    "EngineName",
    "HostCapabilities",
    "HostMismatchError",
    "HostProbeError",
    "ImageError",
    "InvalidEngineNameError",
    "InvalidRecordError",
    "InvalidSidecarError",
    "InvalidSignatureError",
    "KeptNode",
    "KeptNodes",
    "MissingRecordError",
    "MissingSidecarError",
    "MissingSignatureError",
    "NetworkReport",
    "OptimizationProfile",
    "PublishError",
    "RecordError",
    "RecordMismatchError",
    "RevokedSignatureError",
    "Sha256Sidecar",
    "ShapeRange",
    "SigningError",
    "SigningPolicy",
    "SourceError",
    "UnreadableEngineError",
    "UntrustedSignatureError",
    "VerificationError",
    "__version__",
    "build_backbone_specs",
    "build_engine_compiler",
    "convert_network",
    "load_engine",
    "sign_engine",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'c10' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
