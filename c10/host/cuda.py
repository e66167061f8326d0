"""Queries the GPU through the CUDA driver's C interface.

Sources: CUDA Driver API reference (cuInit, cuDeviceGet, cuDeviceGetAttribute, cuDriverGetVersion,
cuDeviceGetUuid, cuDeviceGetPCIBusId).
NVML is absent or partial on Jetson and nvidia-smi is missing on some, so neither is used.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

_LIBRARY: Final = "libcuda.so.1"
_MULTIPROCESSOR_COUNT: Final = 16
_COMPUTE_CAPABILITY_MAJOR: Final = 75
_COMPUTE_CAPABILITY_MINOR: Final = 76
_NAME_BYTES: Final = 256
_UUID_BYTES: Final = 16
_BUS_ID_BYTES: Final = 32  # "0000:01:00.0" has 13 with its terminator; domains may be longer
_ANSWER_S: Final = 60
_ASK: Final = """\
import sys, json
sys.path[:] = json.loads(sys.argv[1])
from c10.host.cuda import device_identity
print(device_identity(sys.argv[2]) or "")
"""


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """The first visible GPU; the driver honours CUDA_VISIBLE_DEVICES."""

    sm: str
    """Compute capability without the dot."""
    sm_count: int
    """Number of active multiprocessors."""
    name: str
    """The device's name."""
    driver: str
    """CUDA version of the driver, such as 12.6."""


def probe_gpu(library: str = _LIBRARY) -> GpuFacts | None:
    """Return the facts of the first GPU; None if there is no usable one.

    In a `docker build` libcuda is often missing or a file of zero bytes; that counts as no GPU.
    """
    try:
        cuda = ctypes.CDLL(library)
        return _describe(cuda)
    except (OSError, AttributeError):
        return None


def ask_device_identity(library: str = _LIBRARY) -> str | None:
    """Return ``device_identity`` from a separate process; None also if that process fails or takes over 60 s.

    CUDA does not work in a process forked from one that has used CUDA, so this process must not use it.
    """
    try:
        ctypes.CDLL(library)
    except OSError:
        return None  # no GPU, the common case: no process is needed
    command = [sys.executable, "-c", _ASK, json.dumps(sys.path), library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().rpartition("\n")[2] or None if done.returncode == 0 else None


def device_identity(library: str = _LIBRARY) -> str | None:
    """Return the UUID (hex) of the first visible GPU, or of its MIG instance; its PCI bus id if it has no UUID.

    Returns None if there is no usable GPU, or if the driver reports neither.
    """
    try:
        cuda = ctypes.CDLL(library)
        device = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
            return None
    except (OSError, AttributeError):
        return None
    return _uuid(cuda, device) or _bus_id(cuda, device)


def _uuid(cuda: ctypes.CDLL, device: ctypes.c_int) -> str | None:
    uuid = (ctypes.c_ubyte * _UUID_BYTES)()
    for name in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):  # the first, from CUDA 11.4 on, distinguishes MIG instances
        ask = getattr(cuda, name, None)
        if ask is not None and not ask(uuid, device) and any(uuid):
            return bytes(uuid).hex()
    return None


def _bus_id(cuda: ctypes.CDLL, device: ctypes.c_int) -> str | None:
    text, ask = ctypes.create_string_buffer(_BUS_ID_BYTES), getattr(cuda, "cuDeviceGetPCIBusId", None)
    if ask is None or ask(text, _BUS_ID_BYTES, device):
        return None
    return text.value.decode("ascii", "replace") or None


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
    """Return CUDA's version number as text: 12060 is 12.6."""
    return f"{number // 1000}.{number % 1000 // 10}"
