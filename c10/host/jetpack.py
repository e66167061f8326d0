"""Detects the Jetson and its JetPack version.

Sources: first line of /etc/nv_tegra_release; NVIDIA's JetPack archive for L4T → JetPack.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

RELEASE_FILE: Final = Path("/etc/nv_tegra_release")
DEVICE_TREE: Final = Path("/proc/device-tree/compatible")

#: Compute capability by the chip's name in the device tree.
CHIPS: Final = {"tegra194": "72", "tegra234": "87", "tegra264": "110"}

#: JetPack by L4T release. A release that is not listed is named after L4T, never guessed.
JETPACK: Final = {
    "35.1.0": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2", "35.5.0": "5.1.3",
    "35.6.0": "5.1.4", "35.6.1": "5.1.5", "35.6.2": "5.1.5", "35.6.3": "5.1.5", "35.6.4": "5.1.6",
    "36.2.0": "6.0", "36.3.0": "6.0", "36.4.0": "6.1", "36.4.2": "6.1", "36.4.3": "6.2",
    "36.4.4": "6.2.1", "36.4.7": "6.2.1", "36.5.0": "6.2.2", "36.5.2": "6.2.3",
    "38.2.0": "7.0", "38.2.1": "7.0", "38.2.2": "7.0", "38.4.0": "7.1",
    "39.2.0": "7.2", "39.2.1": "7.2.1",
}  # fmt: skip

_RELEASE: Final = re.compile(r"# R(\d+) \(release\), REVISION: (\d+)\.(\d+)\b")
_PACKAGE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)-")


def parse_release(text: str) -> str | None:
    """Return the L4T release (36.4.3) in /etc/nv_tegra_release; None if the first line has another form."""
    match = _RELEASE.match(text)
    return ".".join(match.groups()) if match else None


def parse_package_version(text: str) -> str | None:
    """Return the L4T release in the version of nvidia-l4t-core (36.4.7-2025…); None if it has another form."""
    match = _PACKAGE.match(text)
    return ".".join(match.groups()) if match else None


def jetpack_of(l4t: str) -> str:
    """Return the JetPack version; "l4t" and the release if the table does not list it."""
    return JETPACK.get(l4t, f"l4t{l4t}")


def tegra_chip(device_tree: Path = DEVICE_TREE) -> str | None:
    """Return the chip (tegra234) that the device tree names; None if this is not a known Jetson."""
    try:
        names = device_tree.read_bytes().split(b"\0")
    except OSError:
        return None
    chips = {name.decode("ascii", "replace").removeprefix("nvidia,") for name in names}
    return next(iter(sorted(chips & CHIPS.keys())), None)


def probe_l4t(release_file: Path = RELEASE_FILE, *, tegra: bool) -> str | None:
    """Return the L4T release from its file or, if ``tegra`` and the file is missing, from dpkg; or None."""
    try:
        return parse_release(release_file.read_text("utf-8", "replace"))
    except OSError:
        return _installed_l4t() if tegra else None


def _installed_l4t() -> str | None:
    query = ["dpkg-query", "--show", "--showformat=${Version}", "nvidia-l4t-core"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return parse_package_version(answer.stdout)
