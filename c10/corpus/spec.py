"""What is asked for: a backbone, its shapes and its build options, as plain data.

Everything here is a value: frozen, comparable, picklable, and free of file system and clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from c10.corpus.option_forms import (
    Choice,
    ComputeCapabilities,
    Files,
    Flag,
    Form,
    OneFile,
    Positive,
    Texts,
    Whole,
)

Precision = Literal["fp32", "fp16", "bf16", "int8", "fp8"]
Conversion = Literal["auto", "always", "never"]
HardwareCompatibility = Literal["none", "ampere_plus", "same_compute_capability"]
Shape = tuple[int, ...]

DEFAULT_PRECISION: Precision = "fp16"
DEFAULT_WORKSPACE_MB = 4096
DEFAULT_INPUT_NAME = "input"


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """The shapes that one input may take under one profile: per dimension min ≤ opt ≤ max."""

    min: Shape
    opt: Shape
    max: Shape

    @classmethod
    def fixed(cls, shape: Shape) -> ShapeRange:
        """Return the range that holds one shape."""
        return cls(shape, shape, shape)

    def __str__(self) -> str:
        if self.min == self.max:
            return str(list(self.opt))
        return f"{list(self.min)}…{list(self.max)}"


@dataclass(frozen=True, slots=True)
class OptimizationProfile:
    """One TensorRT optimization profile: a shape range for each input, by name."""

    inputs: tuple[tuple[str, ShapeRange], ...]

    @classmethod
    def of(cls, inputs: Mapping[str, ShapeRange]) -> OptimizationProfile:
        """Return the profile with its inputs in order of name."""
        return cls(tuple(sorted(inputs.items())))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> OptimizationProfile:
        """Return the profile that ``dataclasses.asdict`` and ``json`` made these values of."""
        return cls(
            tuple(
                (name, ShapeRange(*(tuple(shapes[bound]) for bound in ("min", "opt", "max"))))
                for name, shapes in values["inputs"]
            )
        )

    def __str__(self) -> str:
        return ", ".join(f"{name} {shapes}" for name, shapes in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """TensorRT's build options; the defaults are those of its builder configuration.

    ``c10.runtimes.options`` says which TensorRT has which option.
    """

    conversion: Conversion = "auto"
    """"auto" converts the network to the precision if the builder is strongly typed (TensorRT-RTX, TensorRT 11);
    "always" does it with TensorRT 10.x too, which then builds strongly typed; "never" takes the network's own types."""
    keep_fp32: tuple[str, ...] = ()
    """What the conversion leaves in fp32: operator types (``Softmax``) and patterns of node names
    (``/encoder/layer.3/*``)."""
    builder_optimization_level: int = 3
    """0 to 5: a higher level tries more kernels and takes longer."""
    hardware_compatibility: HardwareCompatibility = "none"
    """GPUs beside this one for which the engine is built."""
    version_compatible: bool = False
    """Whether later minor versions of TensorRT may load the engine."""
    dla_core: int | None = None
    """The DLA core that runs the engine, from 0; None is the GPU."""
    gpu_fallback: bool = False
    """Whether the GPU runs the layers that the DLA cannot."""
    sparse_weights: bool = False
    """Whether the builder may use kernels for weights with structured sparsity."""
    tf32: bool = True
    """Whether fp32 layers may compute in TF32."""
    compute_capabilities: tuple[str, ...] = ()
    """The targets of TensorRT-RTX without the dot, such as 75 and 89; () is its own choice."""
    calibration_cache: Path | None = None
    """Scales for int8 with TensorRT 10.x."""
    plugins: tuple[Path, ...] = ()
    """Plugin libraries: loaded in this order and serialized with the engine."""
    timing_cache: bool = True
    """Whether builds of one host share TensorRT's measurements of kernels."""
    timeout_s: int | None = None
    """Seconds after which c10 ends a build; None is no limit."""


@dataclass(frozen=True, slots=True)
class BuildOption:
    """One row of the table of build options: what c10 has to know of a field of BuildOptions."""

    name: str
    """A field of BuildOptions, and the key in a ``[[backbones]]`` table."""
    words: str
    """The option's name in messages and in the README's table of facts."""
    form: Form
    """What the option's value may be."""
    neutral: object
    """The value that the build key leaves out: what an engine was built with before the option existed."""
    role: str = ""
    """For an option that names files: the role under which the build key holds their digests, not their paths."""
    not_in_key: str = ""
    """Why the option does not belong into the build key; "" if it does."""

    @property
    def in_definition(self) -> bool:
        """Whether the option's value stands in the build definition."""
        return not self.role and not self.not_in_key

    def is_neutral(self, options: BuildOptions) -> bool:
        """Whether these options leave this one at its neutral value; as in JSON, 1 differs from True and [] is ()."""
        value = getattr(options, self.name)
        value = tuple(value) if isinstance(value, list) else value
        return type(value) is type(self.neutral) and bool(value == self.neutral)


#: Every field of BuildOptions. The neutral values are frozen for build type urn:c10:engine:v1: they are not the
#: defaults above, and they stay as they are when a default changes. What changes is then written into the key.
BUILD_OPTIONS: Final = (
    BuildOption("conversion", "conversion", Choice(get_args(Conversion)), "auto"),
    BuildOption("keep_fp32", "kept in fp32", Texts(), ()),
    BuildOption("builder_optimization_level", "builder optimization level", Whole(0, 5), 3),
    BuildOption("hardware_compatibility", "hardware compatibility", Choice(get_args(HardwareCompatibility)), "none"),
    BuildOption("version_compatible", "version compatibility", Flag(), neutral=False),
    BuildOption("dla_core", "DLA core", Whole(0, 15), None),
    BuildOption("gpu_fallback", "GPU fallback", Flag(), neutral=False),
    BuildOption("sparse_weights", "sparse weights", Flag(), neutral=False),
    BuildOption("tf32", "TF32", Flag(), neutral=True),
    BuildOption("compute_capabilities", "compute capabilities", ComputeCapabilities(), ()),
    BuildOption("calibration_cache", "calibration cache", OneFile(), None, role="calibration_cache"),
    BuildOption("plugins", "plugin library", Files(), (), role="plugin"),
    BuildOption(
        "timing_cache",
        "timing cache",
        Flag(),
        neutral=True,
        not_in_key="it holds what kernels took on this host, never what an engine is built from",
    ),
    BuildOption(
        "timeout_s",
        "time limit",
        Positive(),
        None,
        not_in_key="it ends a build that takes longer and shapes no engine",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """All that a runtime needs beside the ONNX: precision, workspace in MiB, profiles, options."""

    precision: Precision = DEFAULT_PRECISION
    workspace_mb: int = DEFAULT_WORKSPACE_MB
    profiles: tuple[OptimizationProfile, ...] = ()
    options: BuildOptions = field(default_factory=BuildOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """One network to compile. ``precision`` and ``workspace_mb`` left None follow the request.

    ``expected_input_shape`` with ``input_name`` is the short form for one fixed input; ``profiles``, where
    given, takes its place.
    """

    model_name: str
    onnx_path: Path
    expected_input_shape: Shape | None = None
    input_name: str = DEFAULT_INPUT_NAME
    profiles: tuple[OptimizationProfile, ...] = ()
    precision: Precision | None = None
    workspace_mb: int | None = None
    options: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "onnx_path", Path(self.onnx_path))
        if self.expected_input_shape is not None:
            object.__setattr__(self, "expected_input_shape", tuple(self.expected_input_shape))

    def shape_profiles(self) -> tuple[OptimizationProfile, ...]:
        """Return the profiles, the short form written out."""
        if self.profiles or self.expected_input_shape is None:
            return self.profiles
        return (OptimizationProfile.of({self.input_name: ShapeRange.fixed(self.expected_input_shape)}),)
