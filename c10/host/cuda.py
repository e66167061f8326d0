"""The GPU, asked through the CUDA driver's C interface. May import nothing of c10.

Sources: CUDA Driver API reference (cuInit, cuDeviceGet, cuDeviceGetAttribute, cuDriverGetVersion).
NVML is absent or partial on Jetson and nvidia-smi is missing on some, so neither is used.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Final

_LIBRARY: Final = "libcuda.so.1"
_MULTIPROCESSOR_COUNT: Final = 16
_COMPUTE_CAPABILITY_MAJOR: Final = 75
_COMPUTE_CAPABILITY_MINOR: Final = 76
_NAME_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """The first visible GPU (CUDA_VISIBLE_DEVICES is honoured by the driver)."""

    sm: str
    sm_count: int
    name: str
    driver: str


def probe_gpu(library: str = _LIBRARY) -> GpuFacts | None:
    """Describe the first GPU; None where there is none that can be used.

    A `docker build` often has no libcuda, or a file of zero bytes in its place: no GPU, never a guess.
    """
    try:
        cuda = ctypes.CDLL(library)
        return _describe(cuda)
    except (OSError, AttributeError):
        return None


def _describe(cuda: ctypes.CDLL) -> GpuFacts | None:
    device, driver, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    if (
        cuda.cuInit(0)
        or cuda.cuDeviceGet(ctypes.byref(device), 0)
        or cuda.cuDriverGetVersion(ctypes.byref(driver))
        or cuda.cuDeviceGetName(name, _NAME_BYTES, device)
    ):
        return None
    major = _attribute(cuda, device, _COMPUTE_CAPABILITY_MAJOR)
    minor = _attribute(cuda, device, _COMPUTE_CAPABILITY_MINOR)
    count = _attribute(cuda, device, _MULTIPROCESSOR_COUNT)
    if major is None or minor is None or count is None:
        return None
    return GpuFacts(f"{major}{minor}", count, name.value.decode("utf-8", "replace"), driver_version(driver.value))


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, attribute: int) -> int | None:
    value = ctypes.c_int()
    return None if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device) else value.value


def driver_version(number: int) -> str:
    """Return CUDA's version number in words: 12060 is 12.6."""
    return f"{number // 1000}.{number % 1000 // 10}"
