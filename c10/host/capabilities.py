"""The facts of a host that decide whether an engine fits it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

Runtime = Literal["trt", "rtx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCapabilities:
    """The facts of a machine that matter to TensorRT. None means unknown, never "any".

    ``sm``, ``jp`` and ``trt`` are part of the engine's file name; the others are recorded in the build record.
    """

    sm: str | None = None
    """Compute capability without the dot, such as 87."""
    jp: str = "none"
    """JetPack version; "none" if the host is not a Jetson, "l4t36.9.9" if the L4T release is not in the table."""
    trt: str | None = None
    """TensorRT's version as major.minor or longer; file names use the first two parts."""
    trt_version: str | None = None
    """TensorRT's full version, such as 10.3.0.26."""
    rtx_version: str | None = None
    """TensorRT-RTX's full version, such as 1.7.1.116."""
    onnx_parser: str | None = None
    """Version number of libnvonnxparser."""
    device_name: str | None = None
    """The GPU's name, as the CUDA driver reports it."""
    sm_count: int | None = None
    """Number of active multiprocessors; on a Jetson it depends on the power mode."""
    cuda_driver: str | None = None
    """CUDA version of the driver, such as 12.6."""
    l4t: str | None = None
    """L4T release, such as 36.4.3."""
    os: str | None = None
    """Operating system, as uname reports it: Linux."""
    machine: str | None = None
    """Architecture, as uname reports it: x86_64 or aarch64."""
    memory_mb: int | None = None
    """Physical memory in MiB."""
    power_mode: str | None = None
    """Content of nvpmodel's status file on a Jetson. Affects an engine's speed, not whether it loads."""

    @property
    def is_tegra(self) -> bool:
        """Whether this is a Jetson."""
        return self.jp != "none" or self.l4t is not None

    @property
    def tensorrt_version(self) -> str | None:
        """TensorRT's version, as full as it is known."""
        return self.trt_version or self.trt

    def contradictions(self, actual: HostCapabilities) -> list[str]:
        """Return a sentence for each fact of this host of the key that differs from ``actual``; skip unknown ones."""
        found = []
        for field in fields(self):
            said, is_ = getattr(self, field.name), getattr(actual, field.name)
            if _BY_NAME[field.name].not_in_key or said in {None, "none"} or is_ in {None, "none"}:
                continue
            if field.name == "trt" and _major_minor(said) == _major_minor(is_):
                continue
            if said != is_:
                found.append(f"{field.name}: expected {said}, got {is_} on this machine")
        return found


@dataclass(frozen=True, slots=True)
class HostFact:
    """One row of the table of host facts. Exactly one of ``keys``, ``told_by`` and ``not_in_key`` is set."""

    name: str
    """A field of HostCapabilities."""
    words: str
    """The fact's name in messages."""
    hint: str = ""
    """The likely cause of a change, as a question; "" if none is known."""
    keys: tuple[Runtime, ...] = ()
    """The runtimes whose build key contains the fact under ``host``."""
    told_by: str = ""
    """The fact of the decision table that represents this one in the build key."""
    not_in_key: str = ""
    """Why the fact is in no build key."""


#: Every field of HostCapabilities. An RTX engine is built for a set of targets and not for one machine, so its
#: build key contains no fact of the GPU.
HOST_FACTS: Final = (
    HostFact("sm", "compute capability", "another GPU?", keys=("trt",)),
    HostFact("sm_count", "SM count", "power mode changed?", keys=("trt",)),
    HostFact("device_name", "GPU", "another GPU?", keys=("trt",)),
    HostFact("cuda_driver", "CUDA driver", keys=("trt",)),
    HostFact("jp", "JetPack", keys=("trt",)),
    HostFact("l4t", "L4T", keys=("trt",)),
    HostFact("os", "operating system", keys=("trt", "rtx")),
    HostFact("machine", "machine", keys=("trt", "rtx")),
    HostFact("trt", "TensorRT", told_by="runtime.version"),
    HostFact("trt_version", "TensorRT in full", told_by="runtime.version"),
    HostFact("rtx_version", "TensorRT-RTX", told_by="runtime.version"),
    HostFact("onnx_parser", "ONNX parser", told_by="runtime.onnx_parser"),
    HostFact("memory_mb", "memory (MiB)", not_in_key="workspace_mb limits the builder, and is in the key"),
    HostFact("power_mode", "power mode", not_in_key="it changes the speed; sm_count is in the key"),
)

_BY_NAME: Final = {fact.name: fact for fact in HOST_FACTS}


def host_facts(runtime: Runtime) -> tuple[str, ...]:
    """Return the names of the facts that this runtime's build key contains under ``host``."""
    return tuple(fact.name for fact in HOST_FACTS if runtime in fact.keys)


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
