"""BuildConfig → TensorRT's builder configuration.

This is the only module that sets options of a builder; which TensorRT has which option is in ``options``. Calls are
type-checked against TensorRT's published stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from c10.corpus.spec import BuildConfig, BuildOptions, OptimizationProfile
from c10.errors import EngineBuildError
from c10.runtimes.calibration import make_calibrator

if TYPE_CHECKING:
    import tensorrt

_MIB: Final = 1 << 20


def network_flags(trt: Any, *, strong: bool) -> int:
    """Return the flags for create_network, as bits. A flag that this TensorRT does not have is left out."""
    flags = trt.NetworkDefinitionCreationFlag
    names = ["EXPLICIT_BATCH", *(["STRONGLY_TYPED"] if strong else [])]
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))


def configure(
    trt: Any,
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    wanted: BuildConfig,
    *,
    version: str,
    strong: bool,
) -> tensorrt.IBuilderConfig:
    """Return a builder configuration with the options of ``wanted``.

    ``version`` is TensorRT's, in full; ``strong``: whether the network is strongly typed. Raises EngineBuildError and
    CalibrationCacheError.
    """
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, wanted.workspace_mb * _MIB)
    config.builder_optimization_level = wanted.options.builder_optimization_level
    _set_flags(trt, config, wanted, strong=strong)
    _set_targets(trt, builder, config, wanted.options)
    _set_compute_capabilities(trt, config, wanted.options)
    if not strong:
        _set_weak_precision(trt, builder, config, wanted, version)
    if wanted.options.plugins:
        config.plugins_to_serialize = [str(path) for path in wanted.options.plugins]
    for profile in wanted.profiles:
        config.add_optimization_profile(_profile(trt, builder, network, profile))
    return config


def _set_flags(trt: Any, config: tensorrt.IBuilderConfig, wanted: BuildConfig, *, strong: bool) -> None:
    options = wanted.options
    flags = {
        "TF32": options.tf32,
        "SPARSE_WEIGHTS": options.sparse_weights,
        "VERSION_COMPATIBLE": options.version_compatible,
        "GPU_FALLBACK": options.gpu_fallback,
        "DISABLE_TIMING_CACHE": not options.timing_cache,
    }
    if not strong and wanted.precision != "fp32":
        flags[wanted.precision.upper()] = True
    for name, on in flags.items():
        if on:
            config.set_flag(getattr(trt.BuilderFlag, name))
        elif hasattr(trt.BuilderFlag, name):
            config.clear_flag(getattr(trt.BuilderFlag, name))


def _set_targets(trt: Any, builder: tensorrt.Builder, config: tensorrt.IBuilderConfig, options: BuildOptions) -> None:
    if options.hardware_compatibility != "none":
        level = options.hardware_compatibility.upper()
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
    if options.dla_core is not None:
        if options.dla_core >= builder.num_DLA_cores:
            raise EngineBuildError(
                f"dla_core: expected one of the {builder.num_DLA_cores} DLA cores here, got {options.dla_core}",
                remedy="Remove dla_core from backbones.toml, or build on a board and a TensorRT with DLA.",
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core


def _set_compute_capabilities(trt: Any, config: Any, options: BuildOptions) -> None:
    """Set the GPUs to build for. Only TensorRT-RTX has this; its default is Ampere and later."""
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
    for index, sm in enumerate(options.compute_capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)


def _set_weak_precision(
    trt: Any, builder: tensorrt.Builder, config: tensorrt.IBuilderConfig, wanted: BuildConfig, version: str
) -> None:
    """Refuse a precision that the GPU does not compute in, which TensorRT 10 ignores silently; set the calibrator."""
    fast = {"fp16": "platform_has_fast_fp16", "int8": "platform_has_fast_int8"}.get(wanted.precision)
    if fast is not None and not getattr(builder, fast):
        raise EngineBuildError(
            f"precision {wanted.precision}: expected a GPU that computes in it, got one that does not",
            remedy="Choose another precision for this GPU.",
        )
    cache = wanted.options.calibration_cache
    if wanted.precision == "int8" and cache is not None:
        config.int8_calibrator = make_calibrator(trt, cache, version)


def _profile(
    trt: Any, builder: tensorrt.Builder, network: tensorrt.INetworkDefinition, wanted: OptimizationProfile
) -> tensorrt.IOptimizationProfile:
    profile = builder.create_optimization_profile()
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    shape_tensors = {tensor.name for tensor in inputs if tensor.is_shape_tensor}
    for name, shapes in wanted.inputs:
        if name in shape_tensors:
            profile.set_shape_input(name, list(shapes.min), list(shapes.opt), list(shapes.max))
        else:
            profile.set_shape(name, trt.Dims(shapes.min), trt.Dims(shapes.opt), trt.Dims(shapes.max))
    return profile
