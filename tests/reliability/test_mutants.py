"""The suite fails on a c10 that lacks what the suite is for: each mutant is caught by the check meant for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import c10

from .concurrency import built_once
from .disks import EXT4, FLAGS, Disk
from .faults import Fault
from .figures import FIGURES, NEVER
from .powercut import SCENARIOS, SIGNING, UNSYNCED, Rig, Scenario
from .project import How, Project, Zygote
from .test_stateful import live


@dataclass(frozen=True)
class Mutant:
    """A defect: in a module of c10, one text in place of another.

    ``also``: a second defect at the same time, where each alone would be caught by the other's check.
    """

    name: str
    module: str
    old: str
    new: str
    also: Mutant | None = None


NO_FILE_SYNC = Mutant(
    "no fsync of the file",
    "files/publish.py",
    "        os.fsync(descriptor)\n        #",
    "        #",
    also=Mutant(
        "nor of the one that is published",
        "files/staging.py",
        "            os.fsync(descriptor)\n",
        "            pass\n",
    ),
)
NO_DIRECTORY_SYNC = Mutant(
    "no fsync of the directory",
    "files/publish.py",
    "            sync_directory(self.path.parent)\n",
    "",
    also=Mutant("nor after engine and sidecar", "files/staging.py", "        sync_directory(path.parent)\n", ""),
)
RECORD_FIRST = Mutant(
    "record before engine",
    "files/staging.py",
    "        for source, path in files:\n            _move(source, path)\n        record_file.commit()\n",
    "        record_file.commit()\n        for source, path in files:\n            _move(source, path)\n",
)
SIDECAR_FIRST = Mutant(
    "sidecar before engine",
    "files/staging.py",
    "((made.engine, paths.engine), (made.sidecar, paths.sidecar))",
    "((made.sidecar, paths.sidecar), (made.engine, paths.engine))",
)
NO_VERIFY = Mutant(
    "verify skipped",
    "proof/verdict.py",
    "digest = engine_digest(engine_path)",
    "digest = engine_digest(engine_path)._replace(sha256=named_digest(engine_path, evidence))",
)
NO_INPUTS = Mutant("inputs not compared", "proof/verdict.py", "differences(record.definition, definition)", "()")
NO_SIGNATURE = Mutant("signatures not looked at", "proof/check.py", "if policy == SigningPolicy():", "if record:")
NO_LOCK = Mutant(
    "no lock",
    "files/locks.py",
    "        lock(file, LockFlags.EXCLUSIVE if wait else LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)",
    "        pass",
)
NO_SIZE_CHECK = Mutant(
    "a lying write believed",
    "files/publish.py",
    "!= view.nbytes:",
    "< 0:",
    also=Mutant(
        "another size than was published",
        "building/published.py",
        "if (digests.sha256, digests.size) == (compiled.sha256, status.st_size):",
        "if digests.sha256 == compiled.sha256:",
    ),
)
SIGNATURE_NOT_SYNCED = Mutant(
    "signature not synced",
    "files/staging.py",
    "            envelope_file.commit()\n",
    "            paths.envelope.write_bytes(envelope)\n",
)
SIGNATURE_FIRST = Mutant(
    "signature before record",
    "files/staging.py",
    "        record_file.commit()\n        if envelope_file is None:\n",
    """
        if envelope_file is not None:
            envelope_file.commit()
        record_file.commit()
        if envelope_file is not None:
            return
        if envelope_file is None:
""",
)
REMOVAL_NOT_SYNCED = Mutant(
    "removal of a signature not synced",
    "files/publish.py",
    "        path.unlink()\n        sync_directory(path.parent)\n",
    "        path.unlink()\n",
)
ADDED_SIGNATURE_NOT_SYNCED = Mutant(
    "signature of another key not synced",
    "building/sign.py",
    "        publish(paths.envelope, Envelope(record, (*others, _sign(record, key))).to_json())\n",
    "        paths.envelope.write_bytes(Envelope(record, (*others, _sign(record, key))).to_json())\n",
)
NOT_SETTLED = Mutant(
    "called reused and not synced",
    "plugin/uptodate.py",
    "            run.settled.settle(self.target.engine_path.parent)\n",
    "",
)
NO_REMOVAL = Mutant("orphans left", "plugin/reporter.py", "        remove_orphans_in(sorted(self._folders))\n", "")
_CUTS: Final = (None, *(Fault("rename", n, "signal=SIGKILL") for n in range(1, 11)))  # five an engine


@contextmanager
def mutated(mutant: Mutant | None, folder: Path) -> Iterator[Zygote]:
    """Serve a c10 with the defect; without one, the same way, for comparison."""
    package = folder / "mutant"
    shutil.copytree(Path(c10.__file__).parent, package / "c10")  # with the compiled modules: their times stay
    for defect in filter(None, (mutant, mutant.also if mutant else None)):
        module = package / "c10" / defect.module
        text = module.read_text("utf-8")
        assert text.count(defect.old) == 1, f"{defect.name}: the text to replace stands {text.count(defect.old)} times"
        module.write_text(text.replace(defect.old, defect.new), "utf-8")
        for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*"):
            compiled.unlink()
    before = {name: FIGURES[name] for name in NEVER}  # what a mutant does wrong is not c10's doing
    with closing(Zygote(package)) as zygote:
        yield zygote
    for name, value in before.items():
        FIGURES[name] = value


def _cut_everywhere(zygote: Zygote, folder: Path) -> None:
    """The power-cut check: a cold build, cut at each rename and at the end, the journal written or not."""
    _cut(SCENARIOS[0], _CUTS, zygote, folder)


def _cut_signed(zygote: Zygote, folder: Path) -> None:
    """A cold build that signs, cut at its end and between the first record and its signature."""
    _cut(SIGNING[0], (None, Fault("rename", 6, "signal=SIGKILL")), zygote, folder)


def _cut_unsigned(zygote: Zygote, folder: Path) -> None:
    """A build that signs no longer, over engines that are signed, cut at its end."""
    _cut(SIGNING[3], (None,), zygote, folder)


def _cut_unsynced(zygote: Zygote, folder: Path) -> None:
    """A run over what a killed build renamed and did not sync, cut once it has said REUSED."""
    rig = Rig(UNSYNCED[0], Disk(EXT4, folder), folder, zygote)
    rig.cut(Fault("write", 1, "signal=SIGKILL"), FLAGS["nothing written"])


def _cut_another_key(zygote: Zygote, folder: Path) -> None:
    """Signatures of another key beside those that are there, cut at the end."""
    _cut(SIGNING[4], (None,), zygote, folder)


def _cut(scenario: Scenario, faults: tuple[Fault | None, ...], zygote: Zygote, folder: Path) -> None:
    rig = Rig(scenario, Disk(EXT4, folder), folder, zygote)
    for flag in (1, 2):
        for fault in faults:
            rig.cut(fault, flag)


def _flip_a_byte(zygote: Zygote, folder: Path) -> None:
    project = Project(folder / "project", zygote)
    project.run()
    with project.engine("alpha").open("r+b") as engine:
        engine.seek(5000)
        engine.write(bytes([engine.read(1)[0] ^ 1]))
    assert project.run().models("BUILT") == {"alpha"}


def _change_an_onnx(zygote: Zygote, folder: Path) -> None:
    project = Project(folder / "project", zygote)
    project.run()
    project.set_onnx("alpha", b"version two")
    assert project.run().models("BUILT") == {"alpha"}


def _exchange_a_signature(zygote: Zygote, folder: Path) -> None:
    project = Project(folder / "project", zygote)
    SIGNING[0].before(project)
    project.run()
    project.envelope("alpha").write_bytes(project.envelope("beta").read_bytes())
    assert project.run().models("BUILT") == {"alpha"}


def _four_at_once(zygote: Zygote, folder: Path) -> None:
    built_once(Project(folder / "project", zygote), 4)


def _believe_a_disk(zygote: Zygote, folder: Path) -> None:
    """A write that is reported whole and is not: strace's ``retval``."""
    from .faults import engine_paths, traced

    project = Project(folder / "project", zygote)
    run, _ = traced(project, engine_paths(project, "aa"), ("engines",), Fault("write", 1, "retval=200000"), "aa")
    project.check(run)


def _leave_an_orphan(zygote: Zygote, folder: Path) -> None:
    project = Project(folder / "project", zygote)
    project.run()
    assert project.run("-a", "engines", how=How(env={"STUB_MODE": "die:fsync:1"})).status == 9
    assert len(project.temporaries()) == 1
    assert project.run().models("REUSED") == set(project.models)
    assert project.temporaries() == []


def _live(zygote: Zygote, folder: Path) -> None:  # noqa: ARG001 - it makes folders of its own
    """The property test."""
    live(zygote, 20, 25)


_Check = Callable[[Zygote, Path], None]
_ROOT: Final = pytest.mark.root
#: Mutant, the check that catches it, and what that check says.
CAUGHT_BY: Final = [
    pytest.param(NO_FILE_SYNC, _cut_everywhere, "is not whole|reported and lost", marks=_ROOT),
    pytest.param(NO_DIRECTORY_SYNC, _cut_everywhere, "new are|reported and lost", marks=_ROOT),
    pytest.param(RECORD_FIRST, _cut_everywhere, "new are .False, False, True, False.", marks=_ROOT),
    pytest.param(SIDECAR_FIRST, _cut_everywhere, "new are .False, True, False, False.", marks=_ROOT),
    pytest.param(SIGNATURE_NOT_SYNCED, _cut_signed, "the signature is not whole|reported and lost", marks=_ROOT),
    pytest.param(SIGNATURE_FIRST, _cut_signed, "new are .True, True, False, True.", marks=_ROOT),
    pytest.param(NOT_SETTLED, _cut_unsynced, "reported and lost", marks=_ROOT),
    pytest.param(REMOVAL_NOT_SYNCED, _cut_unsigned, "reported and lost", marks=_ROOT),
    pytest.param(
        ADDED_SIGNATURE_NOT_SYNCED, _cut_another_key, "the signature is not whole|reported and lost", marks=_ROOT
    ),
    pytest.param(NO_SIZE_CHECK, _believe_a_disk, "BUILT alpha: not an engine", marks=_ROOT),
    pytest.param(NO_VERIFY, _flip_a_byte, "REUSED alpha: not an engine"),
    pytest.param(NO_INPUTS, _change_an_onnx, "REUSED alpha: built from other inputs"),
    pytest.param(NO_SIGNATURE, _exchange_a_signature, "REUSED alpha: the signature is of another record"),
    # Which check sees it first depends on timing: one engine compiled twice, files of two builds, or a failed run.
    pytest.param(NO_LOCK, _four_at_once, "engine.*engine.*engine|the sidecar is not the engine's|[1-9] failed"),
    pytest.param(NO_VERIFY, _live, "REUSED .*: not an engine|the sidecar is not"),
    pytest.param(NO_INPUTS, _live, "REUSED .*: built from other inputs"),
    pytest.param(NO_REMOVAL, _leave_an_orphan, r"\.tmp"),
]

_NEED_ROOT: Final = {_cut_everywhere, _cut_signed, _cut_unsigned, _cut_another_key, _believe_a_disk}


@pytest.mark.parametrize(("mutant", "check", "says"), CAUGHT_BY, ids=lambda value: getattr(value, "name", None))
def test_each_mutant_is_caught(mutant: Mutant, check: _Check, says: str, folder: Path) -> None:
    with mutated(mutant, folder) as zygote, pytest.raises(AssertionError, match=says):
        check(zygote, folder)
    FIGURES["mutants caught"] += 1


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=_ROOT if check in _NEED_ROOT else ())
        for check in dict.fromkeys(param.values[1] for param in CAUGHT_BY)
        if check is not _live  # test_stateful.py does that
    ],
    ids=lambda check: check.__name__,
)
def test_and_the_same_check_passes_on_the_real_one(check: _Check, folder: Path) -> None:
    with mutated(None, folder) as zygote:
        check(zygote, folder)
