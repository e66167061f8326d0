"""What each TensorRT can be told: the one table of their differences.

Sources: NVIDIA's API references and migration guides for TensorRT 10.x, 11.x and TensorRT-RTX. What a runtime
cannot do is refused here, before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from c10.corpus.runtimes import RuntimeKind
from c10.corpus.spec import BuildConfig
from c10.errors import EngineBuildError

Generation = Literal["TensorRT 10.x", "TensorRT 11.x", "TensorRT-RTX"]
TRT10: Final[Generation] = "TensorRT 10.x"
TRT11: Final[Generation] = "TensorRT 11.x"
RTX: Final[Generation] = "TensorRT-RTX"
_ALL: Final = (TRT10, TRT11, RTX)

#: The compute capabilities that TensorRT-RTX can be told to compile for (ComputeCapability.SM*).
RTX_COMPUTE_CAPABILITIES: Final = ("75", "80", "86", "89", "120", "121")


@dataclass(frozen=True, slots=True)
class OptionSupport:
    """One row of the table: an option, whether a build asks for it, who has it, what to do where it is not."""

    option: str
    asked: Callable[[BuildConfig], bool]
    supported: tuple[Generation, ...]
    instead: str = "Remove it from backbones.toml, or choose another runtime."


SUPPORT: Final = (
    OptionSupport("precision fp32", lambda c: c.precision == "fp32", _ALL),
    OptionSupport("precision fp16", lambda c: c.precision == "fp16", _ALL),
    OptionSupport("precision bf16", lambda c: c.precision == "bf16", _ALL),
    OptionSupport("precision int8", lambda c: c.precision == "int8", _ALL),
    OptionSupport("precision fp8", lambda c: c.precision == "fp8", _ALL),
    OptionSupport(
        "calibration_cache",
        lambda c: c.options.calibration_cache is not None,
        (TRT10,),
        "Quantize the ONNX itself (Q/DQ nodes): implicit calibration left TensorRT with version 11.",
    ),
    OptionSupport("conversion", lambda c: c.options.conversion != "auto", _ALL),
    OptionSupport("keep_fp32", lambda c: bool(c.options.keep_fp32), _ALL),
    OptionSupport("builder_optimization_level", lambda c: c.options.builder_optimization_level != 3, _ALL),  # noqa: PLR2004
    OptionSupport("hardware_compatibility", lambda c: c.options.hardware_compatibility != "none", (TRT10, TRT11)),
    OptionSupport("version_compatible", lambda c: c.options.version_compatible, (TRT10, TRT11)),
    OptionSupport("dla_core", lambda c: c.options.dla_core is not None, (TRT10, TRT11)),
    OptionSupport("gpu_fallback", lambda c: c.options.gpu_fallback, (TRT10, TRT11)),
    OptionSupport("sparse_weights", lambda c: c.options.sparse_weights, _ALL),
    OptionSupport("tf32", lambda c: not c.options.tf32, _ALL),
    OptionSupport("plugins", lambda c: bool(c.options.plugins), (TRT10, TRT11)),
    OptionSupport("compute_capabilities", lambda c: bool(c.options.compute_capabilities), (RTX,)),
    OptionSupport("timing_cache", lambda c: not c.options.timing_cache, _ALL),
)


def generation(runtime: RuntimeKind, version: str) -> Generation:
    """Return the column of the table that a runtime of that version belongs to. Raises EngineBuildError."""
    if runtime == "rtx":
        return RTX
    major = version.split(".", maxsplit=1)[0]
    if major not in {"10", "11"}:
        raise EngineBuildError(f"tensorrt: expected version 10.x or 11.x, got {version}")
    return TRT10 if major == "10" else TRT11


def is_strongly_typed(config: BuildConfig, column: Generation) -> bool:
    """Whether the types of the network that the builder is given decide, and not its flags.

    Always so from TensorRT 11 on and in TensorRT-RTX; with TensorRT 10.x where ``conversion`` asks for it.
    """
    return column != TRT10 or config.options.conversion != "auto"


def refuse_unsupported(model_name: str, config: BuildConfig, column: Generation) -> None:
    """Raise one EngineBuildError that names every option asked for and not to be had."""
    rows = [row for row in SUPPORT if row.asked(config) and column not in row.supported]
    strong = is_strongly_typed(config, column)
    problems = [f"{row.option}: {column} does not have it. {row.instead}" for row in rows]
    foreign = sorted(set(config.options.compute_capabilities) - set(RTX_COMPUTE_CAPABILITIES))
    if foreign and column == RTX:
        known = ", ".join(RTX_COMPUTE_CAPABILITIES)
        problems.append(f"compute_capabilities: expected some of {known}, got {', '.join(foreign)}")
    if strong and config.options.calibration_cache is not None and column == TRT10:
        problems.append(
            "calibration_cache: a strongly typed network takes int8 from its Q/DQ nodes alone. "
            'Remove it, or set conversion = "auto".'
        )
    if config.options.keep_fp32 and not strong:
        problems.append(
            f'keep_fp32: with conversion = "auto" {column} chooses the types. Set conversion = "always", or remove it.'
        )
    if problems:
        raise EngineBuildError(f"{model_name}: {column} cannot build it as configured", log=tuple(problems))
