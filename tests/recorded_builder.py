"""A stand-in for each TensorRT module that keeps what a builder is told, so that it can be compared with a file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

_FLAGS: Final = ("TF32", "SPARSE_WEIGHTS", "VERSION_COMPATIBLE", "GPU_FALLBACK", "DISABLE_TIMING_CACHE")
_LEVELS: Final = ("NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY")
#: What each module has of the names that c10 says, and whether it is told compute capabilities. Source: NVIDIA's API
#: references; TensorRT-RTX's is compared with the module itself in test_golden_configure.py.
MODULES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "TensorRT 10.x": {
        "BuilderFlag": (*_FLAGS, "FP16", "BF16", "INT8", "FP8"),
        "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
        "HardwareCompatibilityLevel": _LEVELS,
    },
    "TensorRT 11.x": {
        "BuilderFlag": _FLAGS,
        "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
        "HardwareCompatibilityLevel": _LEVELS,
    },
    "TensorRT-RTX": {
        "BuilderFlag": _FLAGS,
        "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
        "HardwareCompatibilityLevel": _LEVELS,
        "ComputeCapability": ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121"),
    },
}
_BITS: Final = {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}


class IInt8EntropyCalibrator2:
    """The base class of one kind of TensorRT 10's calibrators."""


def stand_in(column: str) -> Any:
    """Return what looks to c10 like a TensorRT module of that column: enumerations whose members are their names."""
    enums = {
        name: SimpleNamespace(**{member: _BITS.get(member, member) for member in members})
        for name, members in MODULES[column].items()
    }
    calibrators = {"IInt8EntropyCalibrator2": IInt8EntropyCalibrator2} if column == "TensorRT 10.x" else {}
    return SimpleNamespace(
        **enums,
        **calibrators,
        MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
        DeviceType=SimpleNamespace(GPU="GPU", DLA="DLA"),
        Dims=list,
    )


class RecordedConfig:
    """An IBuilderConfig: every attribute that is set, every call by its own name, in their final state."""

    def __init__(self) -> None:
        object.__setattr__(self, "told", {})

    def __setattr__(self, name: str, value: Any) -> None:
        is_calibrator = isinstance(value, IInt8EntropyCalibrator2)
        self.told[name] = type(value).__bases__[0].__name__ if is_calibrator else value

    def _within(self, group: str) -> dict[str, Any]:
        entries: dict[str, Any] = self.told.setdefault(group, {})
        return entries

    def set_flag(self, flag: str) -> None:
        self._within("flags")[flag] = True

    def clear_flag(self, flag: str) -> None:
        self._within("flags")[flag] = False

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self._within("memory_pool_limits")[pool] = size

    def set_compute_capability(self, capability: str, index: int) -> None:
        self._within("compute_capabilities")[str(index)] = capability

    def add_optimization_profile(self, profile: RecordedProfile) -> None:
        self.told.setdefault("profiles", []).append(profile.told)


class RecordedProfile:
    """An IOptimizationProfile."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def set_shape(self, name: str, *shapes: list[int]) -> None:
        self.told[name] = {"shapes": shapes}

    def set_shape_input(self, name: str, *values: list[int]) -> None:
        self.told[name] = {"values": values}


class RecordedBuilder:
    """An IBuilder of a GPU that has everything."""

    num_DLA_cores = 2  # noqa: N815 - TensorRT's name
    platform_has_fast_fp16 = True
    platform_has_fast_int8 = True

    def __init__(self) -> None:
        self.config = RecordedConfig()

    def create_builder_config(self) -> RecordedConfig:
        return self.config

    def create_optimization_profile(self) -> RecordedProfile:
        return RecordedProfile()


class Network:
    """An INetworkDefinition with an ordinary input ``x`` and a shape input ``starts``."""

    num_inputs = 2

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name=("x", "starts")[index], is_shape_tensor=index == 1)
