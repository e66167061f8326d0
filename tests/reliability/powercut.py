"""Power cuts while engines are published, on a real file system: one case, and what has to hold after it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from pem_keys import make_keys

from c10 import SigningPolicy

from .disks import Disk
from .drivers.stub_runtime import read_payload
from .faults import CHANGING, Fault, calls_of, engine_paths, fired, lines_of, traced
from .figures import FIGURES
from .project import How, Project, Run, Zygote
from .signatures import problem_of

#: What may be new on disk of a publication that was cut: engine, then sidecar, then record, then signature (or its
#: removal), never another order.
PUBLISHED: Final = {tuple(n < count for n in range(4)) for count in range(5)}
SIGNED_ALONE: Final = {(False, False, False, False), (False, False, False, True)}
#: A signature's rename or removal, then the opening, syncing and closing of its directory.
_BEHIND: Final = 4


@dataclass(frozen=True)
class Scenario:
    """What is on the disk before (made durable), what happens since (not yet durable), and what is run."""

    name: str
    cache: str = "engines"
    before: Callable[[Project], object] = id
    since: Callable[[Project], object] = id
    argv: tuple[str, ...] = ("engines",)
    whole_project: bool = False  # on the disk, with doit's database; else the engines alone
    order: frozenset[tuple[bool, ...]] = frozenset(PUBLISHED)


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
    assert project.run(how=How(env={"STUB_MODE": "die:rename:4"})).status == 9


SCENARIOS: Final = (
    Scenario("cold, new directories", cache="a/b/engines"),
    Scenario("cold, whole project on the disk", whole_project=True),
    Scenario("rebuild over older engines", before=_older_engines),
    Scenario("forced rebuild of good engines", before=_same_engines, argv=("-a", "engines")),
    Scenario("rebuild of damaged engines", before=_damaged_engines),
    Scenario("cold, after a build that was killed", cache="a/engines", since=_killed_before),
    Scenario("rebuild, after a build that was killed", before=_older_engines, since=_killed_before, whole_project=True),
)


def _policy(project: Project, name: str = "builder", *, signs: bool = True) -> None:
    """Trust one key, and ask for its signature where it is this machine's."""
    keys = make_keys(project.root / "keys", name)
    project.signing = SigningPolicy(
        require_signature=signs, trusted_keys=(keys.public,), private_key=keys.private if signs else None
    )
    project.write()


def _signed(project: Project) -> None:
    _policy(project)
    _same_engines(project)


def _older_signed_engines(project: Project) -> None:
    _policy(project)
    _older_engines(project)


def _unsigned_engines(project: Project) -> None:
    _same_engines(project)
    _policy(project)


def _signed_engines_and_no_key_since(project: Project) -> None:
    _older_signed_engines(project)
    project.signing = replace(project.signing, require_signature=False, private_key=None)
    project.write()


def _signed_by_another_key(project: Project) -> None:
    _signed(project)
    _policy(project, "second")
    project.signer = project.signing.private_key
    project.write()


def _killed_before_the_signature(project: Project) -> None:
    assert project.run(how=How(env={"STUB_MODE": "die:rename:6"})).status == 9


SIGNING: Final = (
    Scenario("signed, cold, new directories", cache="a/b/engines", before=_policy),
    Scenario("signed, rebuild over older signed engines", before=_older_signed_engines),
    Scenario("signed, over engines that nobody signed", before=_unsigned_engines),
    Scenario("no longer signed, rebuild over signed engines", before=_signed_engines_and_no_key_since),
    Scenario("signed by another key", before=_signed_by_another_key, argv=("sign",), order=frozenset(SIGNED_ALONE)),
    Scenario(
        "signed, after a build that was killed before it signed",
        before=_policy,
        since=_killed_before_the_signature,
        whole_project=True,
    ),
)


def _killed_at_sync(number: int) -> Callable[[Project], None]:
    def kill(project: Project) -> None:
        assert project.run(how=How(env={"STUB_MODE": f"die:fsync:{number}"})).status == 9

    return kill


#: The first engine's last change was made and not synced when its build was killed.
UNSYNCED: Final = (
    Scenario("record", since=_killed_at_sync(10)),
    Scenario("signature", before=_policy, since=_killed_at_sync(12)),
    Scenario("removal of a signature", before=_signed_engines_and_no_key_since, since=_killed_at_sync(11)),
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
            self._old = self._since = self._bytes()
        disk.keep()

    def faults(self) -> list[Fault | None]:
        """Return a kill before every changing call of this run, and none at all."""
        counts = calls_of(self._recorded())
        kills = [Fault(call, n, "signal=SIGKILL") for call in CHANGING for n in range(1, counts[call] + 1)]
        return [None, *kills]

    def faults_at_signatures(self) -> list[Fault]:
        """Return those of them that are about a signature, and those that make it durable."""
        found: list[Fault] = []
        calls: Counter[str] = Counter()
        behind = 0
        for call, line in lines_of(self._recorded()):
            calls[call] += 1
            if call not in CHANGING:
                continue
            behind = _BEHIND if ".dsse.json" in line else behind - 1
            if behind > 0:
                found.append(Fault(call, calls[call], "signal=SIGKILL"))
        return found

    def cut(self, fault: Fault | None, flag: int) -> set[str]:
        """Kill the run at one call, cut the power, come up again, check the promise; return what was reported."""
        self._begin()
        try:
            run, log = self._run(fault)
            assert fault is None or fired(run, log), f"{fault} did not come to pass"
            promised = run.models("BUILT") | run.models("REUSED") | run.models("SIGNED")
            assert fault is not None or promised == set(self.project.models), run.text
            self._disk.cut(flag)
            for model in self.project.models:
                self._check_order(model)
            after = self.project.run()
            assert after.status == 0, after.text
            lost = promised - after.models("REUSED")
            FIGURES["reported builds lost"] += len(lost)
            assert not lost, f"reported and lost: {lost}\n{run.text}{after.text}"
            assert self.project.temporaries() == []
            return promised
        finally:
            self._disk.umount()

    @cache  # noqa: B019 - a rig lives as long as its test
    def _recorded(self) -> str:
        """Return strace's log of the run without a fault."""
        self._begin()
        run, log = self._run(None)
        self._disk.umount()
        assert run.status == 0, run.text
        return log

    def _begin(self) -> None:
        self._cases += 1
        self._disk.restore()
        self._disk.mount()
        Path(self.project.dep_file).unlink(missing_ok=True)
        self._scenario.since(self.project)
        self._since = self._bytes()

    def _run(self, fault: Fault | None) -> tuple[Run, str]:
        tokens = f"{self._cases:012x}"
        return traced(self.project, engine_paths(self.project, tokens), self._scenario.argv, fault, tokens)

    def _bytes(self) -> dict[Path, bytes]:
        files = (file for model in self.project.models for file in self._files(model))
        return {file: file.read_bytes() for file in files if file.exists()}

    def _files(self, model: str) -> tuple[Path, ...]:
        return (*self.project.files(model), self.project.envelope(model))

    def _check_order(self, model: str) -> None:
        """Refuse a state that publishing in order cannot leave, and a new file that is not whole."""
        files = self._files(model)
        now = [file.read_bytes() if file.exists() else None for file in files]
        older = (self._old, self._since)
        new = tuple(data not in [old.get(file) for old in older] for file, data in zip(files, now, strict=True))
        assert new in self._scenario.order, f"{model}: new are {new} of engine, sidecar, record, signature"
        engine, sidecar, record, _ = now
        sha256 = hashlib.sha256(engine or b"").hexdigest()
        assert not new[0] or read_payload(engine or b""), f"{model}: the engine is not whole"
        assert not new[1] or (sidecar or b"").startswith(sha256.encode()), f"{model}: the sidecar is not the engine's"
        assert not new[2] or json.loads(record or b"{}")["subject"][0]["digest"]["sha256"] == sha256
        problem = problem_of(files[3], record or b"", self.project.signing) if new[3] else ""
        assert not problem, f"{model}: {problem}"
