"""Collects the facts of this machine."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from c10.errors import HostProbeError
from c10.host import tensorrt
from c10.host.capabilities import HostCapabilities
from c10.host.jetpack import CHIPS, jetpack_of, probe_l4t, tegra_chip

_POWER_MODE = Path("/var/lib/nvpmodel/status")


@lru_cache(maxsize=4)
def probe_host(*, gpu: bool = True, jetpack: str | None = None) -> HostCapabilities:
    """Return the facts of this machine; those of a missing GPU or TensorRT are None.

    ``gpu=False`` does not query CUDA and TensorRT, for the runtime that needs neither. ``jetpack`` is the JetPack
    version for a container without the release file and dpkg. Raises HostProbeError if it contradicts what was
    found, or if it is needed and missing. The facts are kept for the process; ``forget_host`` drops them.
    """
    chip = tegra_chip()
    l4t = probe_l4t(tegra=chip is not None)
    facts: dict[str, str | int | None] = {"sm": CHIPS.get(chip or ""), **tensorrt.probe_versions(gpu=gpu)}
    if gpu:
        facts |= _gpu_facts()
    version = facts.get("trt_version")
    return HostCapabilities(
        jp=_jetpack(l4t, jetpack, chip),
        trt=".".join(str(version).split(".")[:2]) if version else None,
        l4t=l4t,
        os=os.uname().sysname,
        machine=os.uname().machine,
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        power_mode=_power_mode(),
        **facts,  # type: ignore[arg-type] # one dict of text and numbers, keys written above
    )


def forget_host() -> None:
    """Let the next ``probe_host`` look again: a power mode, and with it the number of SMs, may change between runs."""
    probe_host.cache_clear()


def _gpu_facts() -> dict[str, str | int | None]:
    from c10.host.cuda import probe_gpu  # not needed without a GPU

    gpu = probe_gpu()
    if gpu is None:
        return {}
    return {"sm": gpu.sm, "sm_count": gpu.sm_count, "device_name": gpu.name, "cuda_driver": gpu.driver}


def _jetpack(l4t: str | None, said: str | None, chip: str | None) -> str:
    if l4t is None:
        if chip is not None and said is None:
            raise HostProbeError(
                f"jetpack: expected /etc/nv_tegra_release or the package nvidia-l4t-core on a Jetson ({chip}), "
                "found neither",
                remedy='In a container without them write `jetpack = "6.2"` at the top of backbones.toml.',
            )
        return said or "none"
    found = jetpack_of(l4t)
    if said not in {None, found}:
        raise HostProbeError(
            f"jetpack: expected {said} as configured, got {found} (L4T {l4t}) on this machine",
            remedy="Remove `jetpack` from the configuration: it is for containers that cannot detect it.",
        )
    return found


def _power_mode() -> str | None:
    try:
        return _POWER_MODE.read_text("utf-8", "replace").strip() or None
    except OSError:
        return None
