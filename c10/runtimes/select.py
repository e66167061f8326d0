"""Which TensorRT builds here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c10.corpus.runtimes import RUNTIME_OF, RuntimeChoice, RuntimeKind
from c10.errors import HostProbeError
from c10.host import HostCapabilities, probe_host
from c10.host.jetpack import tegra_chip
from c10.host.tensorrt import has_tensorrt_module

if TYPE_CHECKING:
    from c10.runtimes.isolated import IsolatedRuntime

_INSTALL_RTX = "Install it with: pip install 'c10[rtx]'"
_SYSTEM_SITE = "JetPack installs it for the system's Python: make the environment with --system-site-packages."


def choose_runtime(
    choice: RuntimeChoice, host: HostCapabilities | None = None, *, jetpack: str | None = None
) -> tuple[RuntimeKind, HostCapabilities]:
    """Return the runtime that ``choice`` means here, and the host it builds for.

    ``auto`` is TensorRT where it and a GPU are usable, else TensorRT-RTX; on a Jetson it never is RTX. A
    ``host`` given by hand is taken at its word. Raises HostProbeError where the choice cannot be had.
    """
    tegra = tegra_chip() is not None
    host = host or probe_host(gpu=choice != "tensorrt_rtx", jetpack=jetpack)
    usable = host.trt is not None and host.sm is not None
    if choice == "tensorrt" or (choice == "auto" and (usable or tegra or host.is_tegra)):
        if not usable:
            raise HostProbeError(_missing_tensorrt(host), remedy=_SYSTEM_SITE if tegra else "")
        return "trt", host
    if host.rtx_version is None:
        raise HostProbeError(
            "runtime: expected TensorRT with a GPU, or TensorRT-RTX; found neither", remedy=_INSTALL_RTX
        )
    return "rtx", host


def builtin_runtime(kind: RuntimeKind, host: HostCapabilities) -> IsolatedRuntime:
    """Return the runtime of c10's own that builds for ``host`` in a child process.

    Raises HostProbeError where ``tensorrt`` is asked to build for another machine than this one.
    """
    from c10.runtimes.isolated import IsolatedRuntime  # a warm run compiles nothing

    if RUNTIME_OF[kind].on_device:
        _refuse_foreign(host)
    return IsolatedRuntime(kind, host)


def _refuse_foreign(host: HostCapabilities) -> None:
    actual = probe_host(gpu=True)
    if not has_tensorrt_module():
        raise HostProbeError("tensorrt: expected the Python package, found none", remedy=_SYSTEM_SITE)
    contradictions = host.contradictions(actual)
    if actual.sm is None:
        contradictions.append("a GPU: expected one, found none")
    if contradictions:
        raise HostProbeError(
            "host: TensorRT builds only for the machine it runs on: " + "; ".join(contradictions),
            remedy="Build on the device itself, or leave out the host to have it probed.",
        )


def _missing_tensorrt(host: HostCapabilities) -> str:
    found = [
        "no GPU" if host.sm is None else f"GPU sm{host.sm}",
        "no TensorRT library of 10.x or 11.x" if host.trt is None else f"TensorRT {host.trt}",
    ]
    return "runtime: expected TensorRT and a GPU, found " + " and ".join(found)
