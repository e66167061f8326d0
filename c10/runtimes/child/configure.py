"""BuildConfig → TensorRT's builder configuration.

This is the only module that sets options of a builder. ``SUPPORT`` in ``options`` says which TensorRT has an option and
how a plain one is set; options with rules of their own (DLA, plugins, calibration, targets) are set here. Calls are
type-checked against TensorRT's published stubs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from c10.corpus.spec import BuildConfig, BuildOptions, OptimizationProfile
from c10.errors import EngineBuildError
from c10.runtimes.calibration import make_calibrator
from c10.runtimes.options import SUPPORT, BuilderFlag

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
    _tell_options(trt, config, wanted)
    _set_dla(trt, builder, config, wanted.options)
    _set_compute_capabilities(trt, config, wanted.options)
    if not strong:
        _set_weak_precision(trt, builder, config, wanted, version)
    if wanted.options.plugins:
        config.plugins_to_serialize = [str(path) for path in wanted.options.plugins]
    for profile in wanted.profiles:
        config.add_optimization_profile(_profile(trt, builder, network, profile))
    return config


def _tell_options(trt: Any, config: tensorrt.IBuilderConfig, wanted: BuildConfig) -> None:
    """Tell the builder every option whose row says how."""
    for row in SUPPORT:
        told, value = row.told, getattr(wanted.options, row.option, None)
        if isinstance(told, BuilderFlag):
            if bool(value) == told.on:
                config.set_flag(_member(trt, "BuilderFlag", told.name, row.option))
            elif hasattr(trt.BuilderFlag, told.name):
                config.clear_flag(getattr(trt.BuilderFlag, told.name))
        elif told is not None and (told.always or row.asked(wanted)):
            said = _member(trt, told.enum, str(value).upper(), row.option) if told.enum else value
            try:
                setattr(config, told.name, said)
            except AttributeError as error:
                raise _lacking(trt, f"IBuilderConfig.{told.name}", row.option) from error


def _member(trt: Any, enum: str, name: str, option: str) -> Any:
    """Return a member of an enumeration that a minor version of TensorRT may lack. Raises EngineBuildError."""
    try:
        return getattr(getattr(trt, enum), name)
    except AttributeError as error:
        raise _lacking(trt, f"{enum}.{name}", option) from error


def _lacking(trt: Any, what: str, option: str) -> EngineBuildError:
    return EngineBuildError(
        f"{option}: expected {what} in {trt.__name__} {trt.__version__}, found none",
        remedy=f"Remove {option} from backbones.toml, or build with a later version.",
    )


def _set_dla(trt: Any, builder: tensorrt.Builder, config: tensorrt.IBuilderConfig, options: BuildOptions) -> None:
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
    """Set the flag of a precision, and the calibrator; refuse a precision that the GPU does not compute in.

    TensorRT 10 would ignore the flag there silently.
    """
    if wanted.precision != "fp32":
        config.set_flag(getattr(trt.BuilderFlag, wanted.precision.upper()))
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
