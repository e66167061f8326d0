"""The facts of a host that decide whether an engine fits it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal


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
            if FACT_OF[field.name].not_in_key or said in {None, "none"} or is_ in {None, "none"}:
                continue
            if field.name == "trt" and _major_minor(said) == _major_minor(is_):
                continue
            if said != is_:
                found.append(f"{field.name}: expected {said}, got {is_} on this machine")
        return found


@dataclass(frozen=True, slots=True)
class FactForm:
    """What a user may write for a fact in ``--host``."""

    pattern: str = ".+"
    """A regular expression that matches the whole value, in ASCII."""
    words: str = "text"
    """The value in messages."""
    is_number: bool = False
    """Whether the fact is an int; otherwise it is text."""


_NUMBER: Final = r"\d{1,9}"  # longer numbers are typing errors, and int() refuses very long ones
_VERSION: Final = rf"{_NUMBER}(?:\.{_NUMBER}){{1,5}}"
_TEXT: Final = FactForm()
_COUNT: Final = FactForm(rf"(?!0){_NUMBER}", "a positive int", is_number=True)


def _version(example: str) -> FactForm:
    return FactForm(_VERSION, f"a version such as {example}")


@dataclass(frozen=True, slots=True)
class HostFact:
    """One row of the table of host facts. Exactly one of ``keys``, ``told_by`` and ``not_in_key`` is set."""

    name: str
    """A field of HostCapabilities."""
    words: str
    """The fact's name in messages."""
    hint: str = ""
    """The likely cause of a change, as a question; "" if none is known."""
    form: FactForm = _TEXT
    """What ``--host`` takes for it."""
    oldest: str = ""
    """For a version: the oldest that c10 supports; "" if any is, or if there is a rule in ``parse_host``."""
    keys: Literal["", "device", "every"] = ""
    """The engines whose build key contains the fact under ``host``: those of builders that measure on the device, or
    every engine."""
    told_by: str = ""
    """The fact of the decision table that represents this one in the build key."""
    not_in_key: str = ""
    """Why the fact is in no build key."""


#: Every field of HostCapabilities. An engine of a builder that does not measure is built for a set of targets and not
#: for one machine, so its build key contains no fact of the GPU.
HOST_FACTS: Final = (
    HostFact(
        "sm",
        "compute capability",
        "another GPU?",
        FactForm(r"[1-9]\d{1,2}|[1-9]\d?\.\d", "a compute capability such as 87 or 8.7"),
        keys="device",
    ),
    HostFact("sm_count", "SM count", "power mode changed?", _COUNT, keys="device"),
    HostFact("device_name", "GPU", "another GPU?", keys="device"),
    HostFact("cuda_driver", "CUDA driver", form=_version("12.6"), keys="device"),
    HostFact(
        "jp",
        "JetPack",
        form=FactForm(rf"none|(?:l4t)?{_VERSION}", "a JetPack version such as 6.2.1, or none"),
        keys="device",
    ),
    HostFact(
        "l4t",
        "L4T",
        form=FactForm(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", "an L4T release such as 36.4.3"),
        keys="device",
    ),
    HostFact("os", "operating system", keys="every"),
    HostFact("machine", "machine", keys="every"),
    HostFact("trt", "TensorRT", form=_version("10.3"), told_by="runtime.version"),
    HostFact("trt_version", "TensorRT in full", form=_version("10.3.0.26"), told_by="runtime.version"),
    HostFact("rtx_version", "TensorRT-RTX", form=_version("1.7"), oldest="1.4", told_by="runtime.version"),
    HostFact("onnx_parser", "ONNX parser", told_by="runtime.onnx_parser"),
    HostFact("memory_mb", "memory (MiB)", form=_COUNT, not_in_key="workspace_mb limits the builder, and is in the key"),
    HostFact("power_mode", "power mode", not_in_key="it changes the speed; sm_count is in the key"),
)

#: The rows by name.
FACT_OF: Final = {fact.name: fact for fact in HOST_FACTS}


def host_facts(*, on_device: bool) -> tuple[str, ...]:
    """Return the names of the facts that a build key contains under ``host``.

    ``on_device``: whether the engine's builder measures on the device.
    """
    return tuple(fact.name for fact in HOST_FACTS if fact.keys == "every" or (on_device and fact.keys == "device"))


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
