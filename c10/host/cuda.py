"""The GPU, asked through the CUDA driver's C interface.

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
_BUS_ID_BYTES: Final = 32  # "0000:01:00.0" has 13 with its end; domains may be longer
_ANSWER_S: Final = 60
_ASK: Final = """\
import sys, json
sys.path[:] = json.loads(sys.argv[1])
from c10.host.cuda import device_identity
print(device_identity(sys.argv[2]) or "")
"""


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


def ask_device_identity(library: str = _LIBRARY) -> str | None:
    """Return ``device_identity``, asked in a process of its own; None also where that does not answer.

    A process that uses CUDA cannot be forked for CUDA, and one that was forked from it cannot use CUDA.
    """
    try:
        ctypes.CDLL(library)
    except OSError:
        return None  # no GPU, the common case: no process is needed to say so
    command = [sys.executable, "-c", _ASK, json.dumps(sys.path), library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().rpartition("\n")[2] or None if done.returncode == 0 else None


def device_identity(library: str = _LIBRARY) -> str | None:
    """Return the UUID (hex) of the first visible GPU, or of its MIG instance; its PCI bus id where it has none.

    None where there is no GPU that can be used, or where the driver tells neither.
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
    for name in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):  # the first one, from CUDA 11.4, tells MIG instances apart
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
    """Return CUDA's version number in words: 12060 is 12.6."""
    return f"{number // 1000}.{number % 1000 // 10}"
