"""Compares engine names: which one is nearest to a wanted name, and how the two differ.

After an upgrade every engine has a new name; the nearest old name shows what changed.
"""

from __future__ import annotations

import re
from typing import Final

from c10.files.naming import EngineName
from c10.proof.facts import Difference

#: Field of EngineName → key of the decision table, the field that matters most for similarity first.
NAMED: Final = {
    "runtime": "runtime.name",
    "sm": "host.sm",
    "jp": "host.jp",
    "trt": "runtime.version",
    "precision": "precision",
}


def similarity(name: EngineName, wanted: EngineName) -> tuple[tuple[bool, ...], list[int], list[int]]:
    """Return a sort key, largest for the nearest name; the later JetPack or TensorRT breaks a tie."""
    same = tuple(getattr(name, field) == getattr(wanted, field) for field in NAMED)
    return same, _numbers(name.jp), _numbers(name.trt)


def name_differences(old: EngineName, new: EngineName) -> tuple[Difference, ...]:
    """Return the fields in which two names of one model differ."""
    pairs = ((key, getattr(old, field), getattr(new, field)) for field, key in NAMED.items())
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", text)]
