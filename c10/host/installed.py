"""Which version of a distribution is installed, without importing it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import metadata
from typing import Final

_VERSION: Final = re.compile(r"^Version: *(\S+)", re.MULTILINE)


@lru_cache(maxsize=16)
def installed_version(distribution: str) -> str | None:
    """Return the version that the distribution's metadata names; None where it is not installed.

    ``importlib.metadata.version`` has the email package parse the whole text, which a warm run would wait for.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    match = _VERSION.search(found.read_text("METADATA") or "")
    return match[1] if match else found.version
