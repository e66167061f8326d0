"""Power cut on real file systems, at every system call that publishing makes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .disks import FILE_SYSTEMS, FLAGS, Disk, FileSystem
from .figures import FIGURES
from .powercut import SCENARIOS, Rig, Scenario
from .project import Zygote

SEED = 10


@pytest.mark.root
@pytest.mark.parametrize("count", [4, pytest.param(70, marks=pytest.mark.soak)], ids=["sample", "long"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("system", FILE_SYSTEMS, ids=lambda system: system.name)
def test_what_was_reported_survives_and_nothing_wrong_is_reused(
    system: FileSystem, scenario: Scenario, count: int, folder: Path, zygote: Zygote
) -> None:
    rig = Rig(scenario, Disk(system, folder), folder, zygote)
    cases = [(fault, flag) for fault in rig.faults() for flag in FLAGS.values()]
    chosen = random.Random(f"{SEED} {system.name} {scenario.name}")  # noqa: S311
    cases = chosen.sample(cases, min(count, len(cases)))
    for fault, flag in cases:
        rig.cut(fault, flag)
        FIGURES[f"power-cut states, {system.name}"] += 1
