"""The facts of a host that decide whether an engine fits it. May import nothing of c10."""

from __future__ import annotations

from dataclasses import dataclass, fields


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
            if field.name in {"memory_mb", "power_mode"} or said in {None, "none"} or is_ in {None, "none"}:
                continue
            if field.name == "trt" and _major_minor(said) == _major_minor(is_):
                continue
            if said != is_:
                found.append(f"{field.name}: expected {said}, got {is_} on this machine")
        return found


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
