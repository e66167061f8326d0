"""The facts of a host that decide whether an engine fits it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

Runtime = Literal["trt", "rtx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCapabilities:
    """A machine as TensorRT sees it. None means unknown here, never "any".

    ``sm``, ``jp`` and ``trt`` stand in the engine's file name: compute capability without the dot, JetPack
    version ("none" off Jetson, "l4t36.9.9" where the release is unknown), TensorRT as major.minor. The
    others are too fine for a name and go into the build record.
    """

    sm: str | None = None
    jp: str = "none"
    trt: str | None = None  # major.minor, or longer: names use the first two parts
    trt_version: str | None = None  # in full, such as 10.3.0.26
    rtx_version: str | None = None  # TensorRT-RTX in full, such as 1.7.1.116
    onnx_parser: str | None = None  # version of libnvonnxparser
    device_name: str | None = None
    sm_count: int | None = None  # multiprocessors that are on: the power mode changes it
    cuda_driver: str | None = None
    l4t: str | None = None
    os: str | None = None
    machine: str | None = None
    memory_mb: int | None = None
    power_mode: str | None = None  # a note: changes speed, not what may be loaded

    @property
    def is_tegra(self) -> bool:
        """Whether this is a Jetson."""
        return self.jp != "none" or self.l4t is not None

    @property
    def tensorrt_version(self) -> str | None:
        """TensorRT's version, as full as it is known."""
        return self.trt_version or self.trt

    def contradictions(self, actual: HostCapabilities) -> list[str]:
        """Return, in words, each fact given here that the machine itself denies."""
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
    """One row of the table of host facts: a field of HostCapabilities and its place in the build key.

    ``keys`` are the runtimes whose build key holds the fact under ``host``. ``told_by`` is the fact of the decision
    table that holds it instead. ``not_in_key`` says why a fact is in no build key. ``hint`` is the likely cause of a
    change, as a question.
    """

    name: str
    words: str
    hint: str = ""
    keys: tuple[Runtime, ...] = ()
    told_by: str = ""
    not_in_key: str = ""


#: Every field of HostCapabilities. An RTX engine belongs to its set of targets and not to a machine: its build key
#: holds no fact of the GPU.
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
    """Return the names of the facts that this runtime's build key holds under ``host``."""
    return tuple(fact.name for fact in HOST_FACTS if runtime in fact.keys)


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
