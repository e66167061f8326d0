"""What each TensorRT can be told, and how: the one table of their differences.

Sources: NVIDIA's API references and migration guides for TensorRT 10.x, 11.x and TensorRT-RTX. What a runtime
cannot do is refused here, before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from c10.corpus.runtimes import RUNTIME_OF, RuntimeKind
from c10.corpus.spec import BUILD_OPTIONS, BuildConfig
from c10.errors import EngineBuildError
from c10.files.naming import PRECISIONS

Generation = Literal["TensorRT 10.x", "TensorRT 11.x", "TensorRT-RTX"]
TRT10: Final[Generation] = "TensorRT 10.x"
TRT11: Final[Generation] = "TensorRT 11.x"
RTX: Final[Generation] = "TensorRT-RTX"
#: The columns of each runtime, by the major version of what is installed.
ANY_MAJOR: Final = ""
GENERATIONS: Final[Mapping[RuntimeKind, Mapping[str, Generation]]] = {
    "trt": {"10": TRT10, "11": TRT11},
    "rtx": {ANY_MAJOR: RTX},
}
_ALL: Final = (TRT10, TRT11, RTX)
_OPTION_OF: Final = {row.name: row for row in BUILD_OPTIONS}

#: The compute capabilities that TensorRT-RTX can be told to compile for (ComputeCapability.SM*).
RTX_COMPUTE_CAPABILITIES: Final = ("75", "80", "86", "89", "120", "121")


@dataclass(frozen=True, slots=True)
class BuilderFlag:
    """A member of TensorRT's BuilderFlag: set if the option has the value ``on``, otherwise cleared."""

    name: str
    """The member, such as SPARSE_WEIGHTS."""
    on: bool = True
    """The value of the option that sets the flag; False for a flag that disables what the option allows."""


@dataclass(frozen=True, slots=True)
class BuilderAttribute:
    """An attribute of IBuilderConfig, set if the build asks for the option."""

    name: str
    """The attribute, such as builder_optimization_level."""
    enum: str = ""
    """The enumeration that has a member of the value's name in upper case; "" to set the value itself."""
    always: bool = False
    """Whether the attribute is set to the neutral value too; True only if a golden file says so."""


@dataclass(frozen=True, slots=True)
class OptionSupport:
    """One row of the table: which builders have an option, and how c10 sets it."""

    option: str
    """A field of BuildOptions, or "precision" and one of PRECISIONS."""
    supported: tuple[Generation, ...]
    """The builders that have it."""
    told: BuilderFlag | BuilderAttribute | None = None
    """How c10 sets the option on the builder; None if ``configure`` has a function for it, or if no builder is told."""
    instead: str = "Remove it from backbones.toml, or choose another runtime."
    """What to do if a builder does not have it."""

    def asked(self, config: BuildConfig) -> bool:
        """Whether a build asks for it: the option is not at its neutral value."""
        row = _OPTION_OF.get(self.option)
        return self.option == f"precision {config.precision}" if row is None else not row.is_neutral(config.options)


SUPPORT: Final = (
    *(OptionSupport(f"precision {precision}", _ALL) for precision in PRECISIONS),
    OptionSupport(
        "calibration_cache",
        (TRT10,),
        instead="Quantize the ONNX itself (Q/DQ nodes): implicit calibration left TensorRT with version 11.",
    ),
    OptionSupport("conversion", _ALL),
    OptionSupport("keep_fp32", _ALL),
    OptionSupport("builder_optimization_level", _ALL, BuilderAttribute("builder_optimization_level", always=True)),
    OptionSupport(
        "hardware_compatibility",
        (TRT10, TRT11),
        BuilderAttribute("hardware_compatibility_level", enum="HardwareCompatibilityLevel"),
    ),
    OptionSupport("version_compatible", (TRT10, TRT11), BuilderFlag("VERSION_COMPATIBLE")),
    OptionSupport("dla_core", (TRT10, TRT11)),
    OptionSupport("gpu_fallback", (TRT10, TRT11), BuilderFlag("GPU_FALLBACK")),
    OptionSupport("sparse_weights", _ALL, BuilderFlag("SPARSE_WEIGHTS")),
    OptionSupport("tf32", _ALL, BuilderFlag("TF32")),
    OptionSupport("plugins", (TRT10, TRT11)),
    OptionSupport("compute_capabilities", (RTX,)),
    OptionSupport("timing_cache", _ALL, BuilderFlag("DISABLE_TIMING_CACHE", on=False)),
)


def generation(runtime: RuntimeKind, version: str) -> Generation:
    """Return the column of the table that a runtime of that version belongs to. Raises EngineBuildError."""
    columns = GENERATIONS[runtime]
    column = columns.get(version.split(".", maxsplit=1)[0]) or columns.get(ANY_MAJOR)
    if column is None:
        row = RUNTIME_OF[runtime]
        raise EngineBuildError(f"{row.word}: expected version {row.versions}, got {version}")
    return column


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
