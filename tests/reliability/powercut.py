"""Power cuts while engines are published, on a real file system: one case, and what has to hold after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .disks import Disk
from .drivers.stub_runtime import read_payload
from .faults import CHANGING, Fault, calls_of, engine_paths, fired, traced
from .figures import FIGURES
from .project import How, Project, Run, Zygote

#: What may be on disk of a publication that was cut: engine, then sidecar, then record, never another order.
ORDER: Final = {(False, False, False), (True, False, False), (True, True, False), (True, True, True)}


@dataclass(frozen=True)
class Scenario:
    """What is on the disk before (made durable), what happens since (not yet durable), and what is run."""

    name: str
    cache: str = "engines"
    before: Callable[[Project], object] = id
    since: Callable[[Project], object] = id
    argv: tuple[str, ...] = ("engines",)
    whole_project: bool = False  # on the disk, with doit's database; else the engines alone


def _older_engines(project: Project) -> None:
    assert project.run().models("BUILT") == set(project.models)
    for model in project.models:
        project.set_onnx(model, b"version two")


def _same_engines(project: Project) -> None:
    assert project.run().models("BUILT") == set(project.models)


def _damaged_engines(project: Project) -> None:
    _same_engines(project)
    for model in project.models:
        with project.engine(model).open("r+b") as engine:
            engine.seek(1000)
            engine.write(b"\0\0\0\0")


def _killed_before(project: Project) -> None:
    assert project.run(how=How(env={"STUB_MODE": "die:rename:2"})).status == 9


SCENARIOS: Final = (
    Scenario("cold, new directories", cache="a/b/engines"),
    Scenario("cold, whole project on the disk", whole_project=True),
    Scenario("rebuild over older engines", before=_older_engines),
    Scenario("forced rebuild of good engines", before=_same_engines, argv=("-a", "engines")),
    Scenario("rebuild of damaged engines", before=_damaged_engines),
    Scenario("cold, after a build that was killed", cache="a/engines", since=_killed_before),
    Scenario("rebuild, after a build that was killed", before=_older_engines, since=_killed_before, whole_project=True),
)


class Rig:
    """One scenario on one disk, ready to be cut again and again."""

    def __init__(self, scenario: Scenario, disk: Disk, folder: Path, zygote: Zygote) -> None:
        self._scenario = scenario
        self._disk = disk
        self._cases = 0
        with disk.mounted():
            root = disk.mount_point if scenario.whole_project else folder
            self.project = Project(root / "project", zygote)
            if not scenario.whole_project:
                self.project.cache = disk.mount_point / scenario.cache
                self.project.write()
            self.project.behave(size=700_000)
            scenario.before(self.project)
            self._old = self._bytes()
        disk.keep()

    def faults(self) -> list[Fault | None]:
        """Return a kill before every changing call of this run, and none at all."""
        self._begin()
        run, log = self._run(None)
        self._disk.umount()
        assert run.status == 0, run.text
        counts = calls_of(log)
        kills = [Fault(call, n, "signal=SIGKILL") for call in CHANGING for n in range(1, counts[call] + 1)]
        return [None, *kills]

    def cut(self, fault: Fault | None, flag: int) -> None:
        """Kill the run at one call, cut the power, come up again, and check the promise."""
        self._begin()
        try:
            run, log = self._run(fault)
            assert fault is None or fired(run, log), f"{fault} did not come to pass"
            promised = run.models("BUILT") | run.models("REUSED")
            self._disk.cut(flag)
            for model in self.project.models:
                self._check_order(model)
            after = self.project.run()
            assert after.status == 0, after.text
            lost = promised - after.models("REUSED")
            FIGURES["reported builds lost"] += len(lost)
            assert not lost, f"reported and lost: {lost}\n{run.text}{after.text}"
            assert self.project.temporaries() == []
        finally:
            self._disk.umount()

    def _begin(self) -> None:
        self._cases += 1
        self._disk.restore()
        self._disk.mount()
        Path(self.project.dep_file).unlink(missing_ok=True)
        self._scenario.since(self.project)

    def _run(self, fault: Fault | None) -> tuple[Run, str]:
        tokens = f"{self._cases:012x}"
        return traced(self.project, engine_paths(self.project, tokens), self._scenario.argv, fault, tokens)

    def _bytes(self) -> dict[Path, bytes]:
        files = (file for model in self.project.models for file in self.project.files(model))
        return {file: file.read_bytes() for file in files if file.exists()}

    def _check_order(self, model: str) -> None:
        """Refuse a state that publishing in order cannot leave, and a new file that is not whole."""
        files = self.project.files(model)
        now = [file.read_bytes() if file.exists() else None for file in files]
        new = tuple(data != self._old.get(file) for file, data in zip(files, now, strict=True))
        assert new in ORDER, f"{model}: new are {new} of engine, sidecar, record"
        engine, sidecar, record = now
        sha256 = hashlib.sha256(engine or b"").hexdigest()
        assert not new[0] or read_payload(engine or b""), f"{model}: the engine is not whole"
        assert not new[1] or (sidecar or b"").startswith(sha256.encode()), f"{model}: the sidecar is not the engine's"
        assert not new[2] or json.loads(record or b"{}")["subject"][0]["digest"]["sha256"] == sha256
