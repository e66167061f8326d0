"""What is asked for: a backbone, its shapes and its build options, as plain data.

Everything here is a value: frozen, comparable, picklable, and free of file system and clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

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

    def __str__(self) -> str:
        return ", ".join(f"{name} {shapes}" for name, shapes in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """TensorRT's build options; the defaults are those of its builder configuration.

    ``conversion``: "auto" converts the network to the precision where the builder is strongly typed
    (TensorRT-RTX, TensorRT 11), "always" with TensorRT 10.x too, which then builds strongly typed, "never" takes
    the network's own types. ``keep_fp32``: what the conversion leaves in fp32, as operator types (``Softmax``) and
    patterns of node names (``/encoder/layer.3/*``). Which TensorRT has which option stands in
    ``c10.runtimes.options``.
    """

    conversion: Conversion = "auto"
    keep_fp32: tuple[str, ...] = ()
    builder_optimization_level: int = 3
    hardware_compatibility: HardwareCompatibility = "none"
    version_compatible: bool = False
    dla_core: int | None = None
    gpu_fallback: bool = False
    sparse_weights: bool = False
    tf32: bool = True
    compute_capabilities: tuple[str, ...] = ()
    calibration_cache: Path | None = None
    plugins: tuple[Path, ...] = ()
    timing_cache: bool = True
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True)
class BuildOption:
    """One row of the table of build options: a field of BuildOptions and its place in the build key.

    ``neutral`` is the value that the build key leaves out, as it was before the option existed. ``role`` is set
    for an option that names files: the key then holds their digests, under this role. ``not_in_key`` says why an
    option does not belong into the key.
    """

    name: str
    words: str
    neutral: object
    role: str = ""
    not_in_key: str = ""

    @property
    def in_definition(self) -> bool:
        """Whether the option's value stands in the build definition."""
        return not self.role and not self.not_in_key


#: Every field of BuildOptions. The neutral values are frozen for build type urn:c10:engine:v1: they are not the
#: defaults above, and they stay as they are when a default changes. What changes is then written into the key.
BUILD_OPTIONS: Final = (
    BuildOption("conversion", "conversion", "auto"),
    BuildOption("keep_fp32", "kept in fp32", ()),
    BuildOption("builder_optimization_level", "builder optimization level", 3),
    BuildOption("hardware_compatibility", "hardware compatibility", "none"),
    BuildOption("version_compatible", "version compatibility", neutral=False),
    BuildOption("dla_core", "DLA core", None),
    BuildOption("gpu_fallback", "GPU fallback", neutral=False),
    BuildOption("sparse_weights", "sparse weights", neutral=False),
    BuildOption("tf32", "TF32", neutral=True),
    BuildOption("compute_capabilities", "compute capabilities", ()),
    BuildOption("calibration_cache", "calibration cache", None, role="calibration_cache"),
    BuildOption("plugins", "plugin library", (), role="plugin"),
    BuildOption(
        "timing_cache",
        "timing cache",
        neutral=True,
        not_in_key="it holds what kernels took on this host, never what an engine is built from",
    ),
    BuildOption("timeout_s", "time limit", None, not_in_key="it ends a build that takes longer and shapes no engine"),
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
