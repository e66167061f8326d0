"""Finds the engine under another name that is nearest to a wanted one, and what tells the two apart.

After an upgrade every engine has a new name; the nearest old one shows what changed.
"""

from __future__ import annotations

import re
from typing import Final

from c10.files.naming import EngineName
from c10.proof.facts import Difference

#: A name's fields, as the decision table calls them, in the order in which nearness counts.
NAMED: Final = {
    "runtime": "runtime.name",
    "sm": "host.sm",
    "jp": "host.jp",
    "trt": "runtime.version",
    "precision": "precision",
}


def nearness(name: EngineName, wanted: EngineName) -> tuple[tuple[bool, ...], list[int], list[int]]:
    """Return a sort key, largest for the likest; of two as near, the later JetPack or TensorRT tells more."""
    same = tuple(getattr(name, field) == getattr(wanted, field) for field in NAMED)
    return same, _numbers(name.jp), _numbers(name.trt)


def name_differences(old: EngineName, new: EngineName) -> tuple[Difference, ...]:
    """Return what two names of one model say differently."""
    pairs = ((key, getattr(old, field), getattr(new, field)) for field, key in NAMED.items())
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", text)]
