"""Looks up the installed version of a distribution without importing it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import metadata
from typing import Final

_VERSION: Final = re.compile(r"^Version: *(\S+)", re.MULTILINE)


@lru_cache(maxsize=16)
def installed_version(distribution: str) -> str | None:
    """Return the version that the distribution's metadata names; None if it is not installed.

    Reads one line: ``importlib.metadata.version`` parses the whole text as an email, too slow for a warm run.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    match = _VERSION.search(found.read_text("METADATA") or "")
    return match[1] if match else found.version
