"""Power cut on real file systems, at every system call that publishing makes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .disks import EXT4, FILE_SYSTEMS, FLAGS, XFS, Disk, FileSystem
from .faults import Fault
from .figures import FIGURES
from .powercut import SCENARIOS, SIGNING, UNSYNCED, Rig, Scenario
from .project import Zygote
from .real import needs_rtx, one_engine, run_and_kill, write_real_project

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


@pytest.mark.root
@pytest.mark.parametrize("count", [2, pytest.param(None, marks=pytest.mark.soak)], ids=["sample", "long"])
@pytest.mark.parametrize("scenario", SIGNING, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("system", FILE_SYSTEMS, ids=lambda system: system.name)
def test_no_engine_is_reused_without_the_signature_that_is_asked_for(
    system: FileSystem, scenario: Scenario, count: int | None, folder: Path, zygote: Zygote
) -> None:
    rig = Rig(scenario, Disk(system, folder), folder, zygote)
    near = [(fault, flag) for fault in rig.faults_at_signatures() for flag in FLAGS.values()]
    others = [case for fault in rig.faults() for flag in FLAGS.values() if (case := (fault, flag)) not in near]
    chosen = random.Random(f"{SEED} {system.name} {scenario.name}")  # noqa: S311
    cases: list[tuple[Fault | None, int]] = [(None, FLAGS["nothing written"])]
    cases += chosen.sample(near, count) if count else [*near, *chosen.sample(others, 40)]
    for fault, flag in cases:
        rig.cut(fault, flag)
        FIGURES[f"power-cut states with signatures, {system.name}"] += 1


@pytest.mark.root
@pytest.mark.parametrize("scenario", UNSYNCED, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("system", FILE_SYSTEMS, ids=lambda system: system.name)
def test_what_a_killed_build_did_not_sync_is_durable_once_it_is_called_reused(
    system: FileSystem, scenario: Scenario, folder: Path, zygote: Zygote
) -> None:
    rig = Rig(scenario, Disk(system, folder), folder, zygote)
    # Before the second engine's build syncs anything.
    assert rig.cut(Fault("write", 1, "signal=SIGKILL"), FLAGS["nothing written"]) == {"alpha"}
    FIGURES[f"power-cut states, {system.name}"] += 1


@pytest.mark.root
@needs_rtx
@pytest.mark.parametrize("count", [2, pytest.param(15, marks=pytest.mark.soak)], ids=["sample", "long"])
@pytest.mark.parametrize("system", [EXT4, XFS], ids=lambda system: system.name)
def test_with_a_real_compiler(system: FileSystem, count: int, folder: Path) -> None:
    disk = Disk(system, folder)
    project = disk.mount_point / "project"
    with disk.mounted():
        write_real_project(project)
    disk.keep()
    chosen = random.Random(f"{SEED} {system.name}")  # noqa: S311
    whole_s, digest = 3.0, b""
    for number in range(count):
        disk.restore()
        with disk.mounted():
            run = run_and_kill(project, None if number == 0 else chosen.uniform(0.3, whole_s), "engines")
            if number == 0:
                assert run.status == 0, run.text
                whole_s, digest = 1.1 * run.seconds, one_engine(project)
            disk.cut(chosen.choice(sorted(FLAGS.values())))
            after = run_and_kill(project, None, "engines")
            assert after.status == 0, after.text
            lost = "BUILT " in run.text and "REUSED " not in after.text
            FIGURES["reported builds lost"] += lost
            assert not lost, run.text + after.text
            assert one_engine(project) == digest
            assert not list((project / "engines").glob(".*.tmp"))
        FIGURES[f"power-cut states with a real compiler, {system.name}"] += 1
