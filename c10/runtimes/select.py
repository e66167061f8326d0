"""Which TensorRT builds here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from c10.corpus.runtimes import RUNTIME_OF, RUNTIMES, RuntimeChoice, RuntimeKind, RuntimeRow
from c10.errors import HostProbeError
from c10.host import HostCapabilities, probe_host
from c10.host.jetpack import tegra_chip

if TYPE_CHECKING:
    from c10.runtimes.isolated import IsolatedRuntime

_SYSTEM_SITE = "JetPack installs it for the system's Python: make the environment with --system-site-packages."


def choose_runtime(
    choice: RuntimeChoice, host: HostCapabilities | None = None, *, jetpack: str | None = None
) -> tuple[RuntimeKind, HostCapabilities]:
    """Return the runtime that ``choice`` means here, and the host it builds for.

    ``auto`` is the first runtime of the table that is usable; on a Jetson it is never one that does not measure on
    the device. A ``host`` given by hand is taken at its word. Raises HostProbeError if nothing usable is found.
    """
    tegra = tegra_chip() is not None
    rows = [row for row in RUNTIMES if choice in {"auto", row.word}]
    host = host or probe_host(gpu=any(row.on_device for row in rows), jetpack=jetpack)
    if choice == "auto" and (tegra or host.is_tegra):
        rows = [row for row in rows if row.on_device]
    for row in rows:
        if _version(row, host) is not None and not (row.on_device and host.sm is None):
            return row.kind, host
    last = rows[-1]
    install = _SYSTEM_SITE if tegra else "" if last.on_device else f"Install it with: pip install 'c10[{last.kind}]'"
    raise HostProbeError(_missing(rows, host), remedy=install)


def builtin_runtime(kind: RuntimeKind, host: HostCapabilities) -> IsolatedRuntime:
    """Return the runtime of c10's own that builds for ``host`` in a child process.

    Raises HostProbeError if a builder that measures on the device is asked to build for another machine than this one.
    """
    from c10.runtimes.isolated import IsolatedRuntime  # a warm run compiles nothing

    if RUNTIME_OF[kind].on_device:
        _refuse_foreign(host, RUNTIME_OF[kind])
    return IsolatedRuntime(kind, host)


def _refuse_foreign(host: HostCapabilities, row: RuntimeRow) -> None:
    actual = probe_host(gpu=True)
    if find_spec(row.word) is None:
        raise HostProbeError(f"{row.word}: expected the Python package, found none", remedy=_SYSTEM_SITE)
    contradictions = host.contradictions(actual)
    if actual.sm is None:
        contradictions.append("a GPU: expected one, found none")
    if contradictions:
        raise HostProbeError(
            f"host: {row.product} builds only for the machine it runs on: " + "; ".join(contradictions),
            remedy="Build on the device itself, or leave out the host to have it probed.",
        )


def _missing(rows: Sequence[RuntimeRow], host: HostCapabilities) -> str:
    if not any(row.on_device for row in rows):
        return f"runtime: expected {' or '.join(row.product for row in rows)}, found none"
    if not all(row.on_device for row in rows):
        expected = ", or ".join(f"{row.product} with a GPU" if row.on_device else row.product for row in rows)
        return f"runtime: expected {expected}; found {'neither' if len(rows) == 2 else 'none'}"  # noqa: PLR2004
    found = ["no GPU" if host.sm is None else f"GPU sm{host.sm}"]
    for row in rows:
        version = _version(row, host)
        found.append(f"no {row.product} library of {row.versions}" if version is None else f"{row.product} {version}")
    return f"runtime: expected {' or '.join(row.product for row in rows)} and a GPU, found {' and '.join(found)}"


def _version(row: RuntimeRow, host: HostCapabilities) -> str | None:
    version: str | None = getattr(host, row.version_fact)
    return version
