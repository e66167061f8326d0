"""doit's database: whatever it is, there is a message or it is gone on without, and no engine is lost."""

from __future__ import annotations

import dbm.dumb
import json
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from .figures import FIGURES
from .project import How, Project, Run

SEED = 10
NOBODY = 65534


def _run(project: Project, **how: object) -> Run:
    FIGURES["databases tried"] += 1
    before = project.compiles()
    run = project.run(how=How(**how))  # type: ignore[arg-type]
    assert project.compiles() == before, f"an engine was compiled again\n{run.text}"
    if run.status:
        assert f"rm {project.dep_file}" in run.text, run.text
        assert len(run.text.splitlines()) <= 8, run.text
    else:
        assert run.models("REUSED") == set(project.models), run.text
    return run


def _another_pythons(path: Path) -> None:
    """doit's default in many Pythons: dbm, whose files differ from one to the next."""
    with dbm.dumb.open(str(path), "n") as database:
        database["engines:alpha"] = json.dumps({"result:": "x"})
    path.with_name(f"{path.name}.dat").rename(path)


def _other_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table doit (something int)")
    connection.commit()
    connection.close()


def _not_json(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("update doit set task_data = 'no json'")
    connection.commit()
    connection.close()


def _rows(data: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("update doit set task_data = ?", [json.dumps(data)])
        connection.commit()
        connection.close()

    return change


KINDS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"this is no database\n" * 100),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:2000]),
    "header alone": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "another Python's": _another_pythons,
    "JSON": lambda path: path.write_text('{"engines:alpha": {}}'),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a dangling symlink": lambda path: (path.unlink(), path.symlink_to("nowhere/at/all")),
    "rows that are no JSON": _not_json,
    "rows of another kind": _rows({"_values_:": 5, "sources": [], "deps:": 7, "checker:": {}}),
    "dependencies that are no names": _rows({"deps:": [[1]]}),
    "values that are no mapping": _rows({"_values_:": [[1]]}),
    "states that are no states": _rows({"deps:": ["a"], "a": 1}),
    "another table": lambda path: (path.unlink(), _other_table(path)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_engine_is_lost_for_it(project: Project, kind: str) -> None:
    project.run()
    KINDS[kind](Path(project.dep_file))
    _run(project)


def test_a_fifo_does_not_hang_the_run(project: Project) -> None:
    project.run()
    Path(project.dep_file).unlink()
    os.mkfifo(project.dep_file)
    _run(project, timeout=30)


@pytest.mark.parametrize("count", [40, pytest.param(600, marks=pytest.mark.soak)], ids=["sample", "long"])
def test_damage_anywhere_in_it(project: Project, count: int) -> None:
    project.run()
    database = Path(project.dep_file)
    whole = database.read_bytes()
    chance = random.Random(SEED)  # noqa: S311
    for _ in range(count):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 8, 200))):
            at = chance.randrange(len(data))
            data[at : at + chance.choice((1, 16))] = chance.randbytes(chance.choice((1, 16)))
        database.write_bytes(data)
        _run(project)


@pytest.mark.root
@pytest.mark.parametrize(("mode", "folder_mode"), [(0o000, 0o777), (0o444, 0o777), (0o444, 0o555), (0o000, 0o555)])
def test_one_that_may_not_be_read_or_written(project: Project, mode: int, folder_mode: int) -> None:
    project.run()
    Path(project.dep_file).chmod(mode)
    out, err = project.root.parent / "out", project.root.parent / "err"
    project.root.chmod(folder_mode)
    FIGURES["databases tried"] += 1
    how = How(uid=NOBODY)
    project.root.parent.chmod(0o777)
    pid = project.zygote.start(project.root, ["engines"], out, err, how)
    status, _ = project.zygote.wait(pid, 30)
    text = out.read_text() + err.read_text()
    assert "Traceback" not in text, text
    assert status == 0, text
    assert text.count("REUSED") == len(project.models), text


def test_one_that_another_process_holds(project: Project) -> None:
    project.run()
    holder = sqlite3.connect(project.dep_file, isolation_level=None)
    try:
        holder.execute("begin exclusive")
        run = _run(project, timeout=60)
    finally:
        holder.close()
    assert run.status == 0, run.text
