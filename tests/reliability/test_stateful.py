"""Any order of builds, damage, changes, deaths and races: an engine is reused only if it is exactly right.

What has to hold is checked on the bytes (Project.check): each engine says what it was built from, and no two
compiles make the same bytes, so an engine that is reused is the one that its record's build wrote, for the inputs
of now, or the check fails.
"""

# ruff: noqa: FBT001, FBT002 - Hypothesis gives every argument by name

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from .figures import FIGURES
from .project import HOST, SCRATCH, How, Project, Run, Zygote

MODELS = ("alpha", "beta")
model = st.sampled_from(MODELS)
part = st.sampled_from((0, 1, 2))  # engine, sidecar, record
#: As the three files are written, at three syncs, at the renames that publish the three files, at three closes.
_CALLS = {"write": (1, 2, 3), "fsync": (1, 2, 8), "rename": (3, 4, 5), "close": (1, 2, 3)}
DEATHS = tuple(f"die:{call}:{when}" for call, numbers in _CALLS.items() for when in numbers)


def _change(**strategies: Any) -> Any:
    """A rule that changes something and, half of the time, looks at once what a run makes of it."""
    return stateful.rule(look=st.booleans(), **strategies)


class Life(stateful.RuleBasedStateMachine):
    """One cache and what befalls it."""

    zygote: Zygote
    wrong: AssertionError | None = None  # what the first life that went wrong met

    @stateful.initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="c10-", dir=SCRATCH))
        self.project = Project(self.folder / "project", self.zygote, MODELS)
        self.snapshots: list[Path] = []
        self.clean = False  # whether the last thing that happened was a run that ended well
        self.build()

    def _check(self, run: Run) -> None:
        try:
            self.project.check(run)
        except AssertionError as error:
            Life.wrong = Life.wrong or error
            raise

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def run(self, *argv: str, **how: Any) -> Run:
        FIGURES["property-test steps that ran doit"] += 1
        return self.project.run(*argv, how=How(**how))

    def changed(self, look: bool = False) -> None:
        """An engine or an input is not what it was; ``look`` at once what becomes of it."""
        self.clean = False
        self.changed_beside(look)

    def changed_beside(self, look: bool) -> None:
        """Something changed for which no engine has to be built."""
        FIGURES["property-test steps that changed something"] += 1
        if look:
            self.build()

    # Runs. Each ends well, whatever came before.

    @stateful.rule()
    def build(self) -> None:
        run = self.run()
        assert run.status == 0, run.text
        assert run.models("BUILT") | run.models("REUSED") == set(MODELS)
        assert not self.clean or run.models("REUSED") == set(MODELS), f"built for no reason\n{run.text}"
        assert self.project.temporaries() == []
        self.clean = True

    @stateful.rule(only=model)
    def build_one(self, only: str) -> None:
        assert self.run(f"engines:{only}").status == 0

    @stateful.rule()
    def build_all_again(self) -> None:
        run = self.run("-a", "engines")
        assert run.status == 0
        assert run.models("BUILT") == set(MODELS), run.text
        self.clean = True

    @stateful.rule(processes=st.integers(2, 3))
    def build_at_once(self, processes: int) -> None:
        before = len(self.project.compiles())
        started = [self.project.start() for _ in range(processes)]
        for run in [one.wait() for one in started]:
            FIGURES["property-test steps that ran doit"] += 1
            self._check(run)
            assert run.status == 0, run.text
        assert len(self.project.compiles()) - before <= len(MODELS)
        self.clean = True

    @stateful.rule(mode=st.sampled_from(("raise", "raise_late", "lie", *DEATHS)), force=st.booleans())
    def build_badly(self, mode: str, force: bool) -> None:
        self.run(*(("-a",) if force else ()), "engines", env={"STUB_MODE": mode})
        self.changed()

    @stateful.rule(after_ms=st.integers(0, 60), force=st.booleans())
    def kill(self, after_ms: int, force: bool) -> None:
        self.project.behave(sleep=0.02)
        started = self.project.start(*(("-a",) if force else ()), "engines")
        started.project.zygote.pause(after_ms / 1000)
        started.kill()
        self._check(started.wait())
        self.project.behave()
        self.changed()

    # What befalls the files.

    @_change(name=model, which=part, seed=st.integers(0, 2**16))
    def damage(self, name: str, which: int, seed: int, look: bool) -> None:
        path = self.project.files(name)[which]
        if path.is_file() and (data := bytearray(path.read_bytes())):
            chance = random.Random(seed)  # noqa: S311
            at = chance.randrange(len(data))
            if chance.random() < 0.3:
                del data[at:]
            else:
                data[at] ^= 1 << chance.randrange(8)
            status = path.stat()
            path.write_bytes(data)
            if chance.random() < 0.5:
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            self.changed(look)

    @_change(name=model, which=part)
    def delete(self, name: str, which: int, look: bool) -> None:
        self.project.files(name)[which].unlink(missing_ok=True)
        self.changed(look)

    @_change(parts=st.sets(part, min_size=1))
    def swap(self, parts: set[int], look: bool) -> None:
        pairs = [tuple(self.project.files(name)[which] for name in MODELS) for which in parts]
        for one, other in pairs:
            if one.is_file() and other.is_file():
                content = one.read_bytes()
                one.write_bytes(other.read_bytes())
                other.write_bytes(content)
        self.changed(look)

    @stateful.rule()
    def keep_engines(self) -> None:
        if self.project.cache.is_dir():
            self.snapshots.append(self.folder / f"snapshot{len(self.snapshots)}")
            shutil.copytree(self.project.cache, self.snapshots[-1])

    @_change(which=st.integers(0, 9), parts=st.sets(part, min_size=1), times=st.booleans())
    def restore_engines(self, which: int, parts: set[int], times: bool, look: bool) -> None:
        if self.snapshots:
            snapshot = self.snapshots[which % len(self.snapshots)]
            for name in MODELS:
                for path in (self.project.files(name)[index] for index in parts):
                    if (snapshot / path.name).is_file():
                        (shutil.copy2 if times else shutil.copyfile)(snapshot / path.name, path)
            self.changed(look)

    # What befalls the inputs.

    @_change(name=model, version=st.sampled_from((b"version one", b"version two", b"a longer third one")))
    def change_onnx(self, name: str, version: bytes, look: bool) -> None:
        self.project.set_onnx(name, version)
        self.changed(look)

    @_change(name=model, version=st.sampled_from((b"version six", b"version ten")))
    def change_onnx_and_hide_it(self, name: str, version: bytes, look: bool) -> None:
        path = self.project.onnx(name)
        status = path.stat()
        self.project.set_onnx(name, version)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.changed(look)

    @_change(name=model, weights=st.sampled_from((None, b"weights", b"others!")))
    def change_weights(self, name: str, weights: bytes | None, look: bool) -> None:
        self.project.set_onnx(name, b"version one", weights)
        self.changed(look)

    @_change(workspace=st.sampled_from((1024, 4096)))
    def change_options(self, workspace: int, look: bool) -> None:
        self.project.workspace_mb = workspace
        self.project.write()
        self.changed(look)

    @_change(
        trt=st.sampled_from((("10.3", "10.3.0.26"), ("10.3", "10.3.0.30"), ("10.5", "10.5.0.18"))),
        sm_count=st.sampled_from((16, 8)),
    )
    def change_host(self, trt: tuple[str, str], sm_count: int, look: bool) -> None:
        self.project.host = {**HOST, "trt": trt[0], "trt_version": trt[1], "sm_count": sm_count}
        self.project.write()
        self.changed(look)

    # What befalls doit's database. No engine is lost for it.

    @_change()
    def drop_database(self, look: bool) -> None:
        Path(self.project.dep_file).unlink(missing_ok=True)
        self.changed_beside(look)

    @stateful.rule()
    def keep_database(self) -> None:
        if Path(self.project.dep_file).is_file():
            shutil.copy2(self.project.dep_file, self.folder / "kept.db")

    @_change()
    def restore_database(self, look: bool) -> None:
        if (self.folder / "kept.db").is_file():
            shutil.copy2(self.folder / "kept.db", self.project.dep_file)
            self.changed_beside(look)

    @stateful.rule(garbage=st.binary(min_size=1, max_size=200))
    def ruin_database(self, garbage: bytes) -> None:
        database = Path(self.project.dep_file)
        database.write_bytes(garbage)
        before = len(self.project.compiles())
        run = self.run()
        if run.status:
            assert f"rm {database}" in run.text, run.text
            assert len(self.project.compiles()) == before
            database.unlink()


def live(zygote: Zygote, examples: int, steps: int) -> None:
    """Let it live so many lives of so many steps; raise what went wrong in the first that went wrong.

    hypothesis runs a life that went wrong once more, and inodes and times differ then: where the second run goes
    another way, what the first one met is what counts.
    """
    Life.zygote, Life.wrong = zygote, None
    try:
        _run(examples, steps)
    except Flaky:
        assert Life.wrong is not None
        raise Life.wrong from None


def _run(examples: int, steps: int) -> None:
    stateful.run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.generate,),  # an example that failed is told at once: shrinking it takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("examples", "steps"), [(20, 25), pytest.param(150, 60, marks=pytest.mark.soak)], ids=["sample", "long"]
)
def test_an_engine_is_reused_only_if_it_is_exactly_right(examples: int, steps: int, zygote: Zygote) -> None:
    live(zygote, examples, steps)
