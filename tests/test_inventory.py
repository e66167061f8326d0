"""What lies in a cache_root, and in which state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Corpus, flip_byte, run, snapshot

from c10.cache.inventory import cache_directories, examine, take_inventory
from c10.cache.orphans import remove_orphans_in
from c10.cache.quarantine import Quarantine
from c10.cache.unneeded import delete, unneeded
from c10.errors import C10Error

HOLD = """
import sys
from pathlib import Path
from c10.files.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(engine_path: Path) -> Iterator[None]:
    """Hold an engine's lock in another process, as a build does."""
    lock = engine_path.parent / ".locks" / f"{engine_path.name}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("")


@pytest.fixture
def cache(corpus: Corpus) -> Corpus:
    assert run("doit", corpus).rc == 0
    return corpus


def sidecar(engine: Path) -> Path:
    return Path(f"{engine}.sha256")


def record(engine: Path) -> Path:
    return Path(f"{engine}.json")


def take_record_of(engine: Path, other: Path) -> None:
    record(engine).write_bytes(record(other).read_bytes())


def endless_build(engine: Path) -> None:
    statement = json.loads(record(engine).read_text("utf-8"))
    statement["predicate"]["runDetails"]["c10_size"] = float("inf")
    record(engine).write_text(json.dumps(statement), "utf-8")


def as_directory(engine: Path) -> None:
    engine.unlink()
    engine.mkdir()


@pytest.mark.parametrize(
    ("damage", "state", "word"),
    [
        (lambda _e, _o: None, "intact", ""),
        (lambda e, _o: flip_byte(e), "damaged", "digest_mismatch"),
        (lambda e, _o: e.write_bytes(b""), "damaged", "digest_mismatch"),
        (lambda e, _o: sidecar(e).unlink(), "damaged", "sidecar_missing"),
        (lambda e, _o: sidecar(e).write_text("0" * 63), "damaged", "sidecar_malformed"),
        (take_record_of, "damaged", "belongs to another engine"),
        (lambda e, _o: record(e).unlink(), "unrecorded", "no build record"),
        (lambda e, _o: record(e).write_text("{}"), "unrecorded", "unreadable"),
        (lambda e, _o: endless_build(e), "unrecorded", "is not a file's"),
        (lambda e, _o: as_directory(e), "unreadable", "regular file"),
        (lambda e, _o: e.unlink(), "lost", "only its .sha256 and .json"),
        (lambda e, _o: (e.unlink(), sidecar(e).unlink()), "lost", "only its .json"),
    ],
)
def test_every_damage_has_its_state(cache: Corpus, damage: Callable[..., object], state: str, word: str) -> None:
    engine = cache.engine("lightglue")
    damage(engine, cache.engine("aliked"))
    findings = {f.stored.engine_path: f for f in map(examine, take_inventory(cache.engines).engines)}
    assert findings[engine].state == state
    assert word in findings[engine].why
    others = [finding.state for path, finding in findings.items() if path != engine]
    assert others == ["intact", "intact"]


def test_looking_writes_nothing(cache: Corpus) -> None:
    flip_byte(cache.engine("lightglue"))
    lock = next((cache.engines / ".locks").glob("aliked*"))
    lock.unlink()
    before = snapshot(cache.folder)
    assert len([examine(stored) for stored in take_inventory(cache.engines).engines]) == 3
    assert snapshot(cache.folder) == before
    assert not lock.exists()


def test_an_engine_under_construction_is_not_called_damaged(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    flip_byte(engine)
    with held_elsewhere(engine):
        states = [examine(stored).state for stored in take_inventory(cache.engines).engines]
    assert states == ["intact", "intact", "building"]


def test_leftovers_are_told_apart(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    temporary = engine.with_name(f".{engine.name}.sha256.0123456789abcdef.tmp")
    temporary.write_bytes(b"half")
    (cache.engines / "notes.txt").write_text("mine")
    (cache.engines / ".notes.0123456789abcdef.tmp").write_text("of no engine")
    (cache.engines / "mine.engine").write_text("not a name of the schema")
    (cache.engines / ".timing").mkdir()
    (cache.engines / "elsewhere").mkdir()

    def kinds() -> dict[str, str]:
        return {left.path.name: left.kind for left in take_inventory(cache.engines).leftovers}

    foreign = dict.fromkeys((".notes.0123456789abcdef.tmp", "elsewhere", "mine.engine", "notes.txt"), "foreign")
    assert kinds() == {temporary.name: "orphan", **foreign}
    with held_elsewhere(engine):
        assert kinds()[temporary.name] == "writing"


def dead_builds_folder(engine: Path) -> Path:
    """Leave what a build leaves that is killed before it publishes: a folder with engine and sidecar in it."""
    folder = engine.with_name(f".{engine.name}.0123456789abcdef.tmp")
    folder.mkdir(0o700)
    (folder / engine.name).write_bytes(bytes(100_000))
    (folder / f"{engine.name}.sha256").write_bytes(bytes(77))
    return folder


def test_the_folder_of_a_dead_build_is_one_orphan_with_the_size_of_its_files(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    folder = dead_builds_folder(engine)
    (left,) = take_inventory(cache.engines).leftovers
    assert (left.path, left.kind, left.engine_path) == (folder, "orphan", engine)
    assert left.size == folder.lstat().st_size + 100_077
    with held_elsewhere(engine):
        assert take_inventory(cache.engines).leftovers[0].kind == "writing"


def test_the_folder_of_a_dead_build_is_removed_by_the_next_run_and_by_pruning(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    folder = dead_builds_folder(engine)
    with held_elsewhere(engine):
        remove_orphans_in([cache.engines])
        assert folder.is_dir()  # of a running build
    remove_orphans_in([cache.engines])
    assert not folder.exists()
    dead_builds_folder(engine)
    (item,) = (item for item in unneeded(take_inventory(cache.engines), []) if item.kind == "orphan")
    assert item.files == (folder,)
    assert delete(item) == ""
    assert not folder.exists()
    assert len(take_inventory(cache.engines).engines) == 3


FOREIGN = (
    ".syncthing.{engine}.tmp",
    ".{engine}.tmp",
    ".{engine}.part.tmp",
    ".{engine}.0123456789abcde.tmp",
    ".{engine}.0123456789abcdef0.tmp",
    ".{engine}.0123456789ABCDEF.tmp",
    "{engine}.0123456789abcdef.tmp",
    ".{engine}.0123456789abcdef.tmp.bak",
    ".{engine}.backup.0123456789abcdef.tmp",
    ".{engine}-old.0123456789abcdef.tmp",
    ".notes.engine-study.tmp",
)


def test_temporary_files_of_other_programs_stay_through_builds_and_removal_of_orphans(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    own = engine.with_name(f".{engine.name}.json.0123456789abcdef.tmp")
    foreign = [engine.with_name(name.format(engine=engine.name)) for name in FOREIGN]
    for path in foreign[:-1]:
        path.write_text(path.name)
    foreign[-1].mkdir()
    (foreign[-1] / "page").write_text("mine")
    own.write_text("of a build that was killed")
    before = {path: content for path, content in snapshot(cache.engines).items() if "tmp" in path}

    def left() -> dict[str, tuple[bytes, int]]:
        return {path: content for path, content in snapshot(cache.engines).items() if "tmp" in path}

    assert len(before) == len(FOREIGN) + 1
    del before[own.name]
    cache.onnx("lightglue").write_bytes(cache.onnx("aliked").read_bytes())
    assert run("doit", cache).calls == ["lightglue"]
    assert left() == before
    own.write_text("of another")
    remove_orphans_in([cache.engines])
    assert left() == before


def test_quarantine_of_two_directories_loses_nothing_where_names_are_the_same(cache: Corpus, tmp_path: Path) -> None:
    other = cache.folder / "engines of another board"
    shutil.copytree(cache.engines, other)
    flip_byte(cache.engine("aliked"))
    for name in ("lightglue", "aliked"):
        (other / cache.engine(name).name).write_bytes(f"damaged in another way, {name}".encode())
    flip_byte(cache.engine("lightglue"))
    damaged = [
        finding.stored
        for directory in (cache.engines, other)
        for finding in map(examine, take_inventory(directory).engines)
        if finding.state == "damaged"
    ]
    files = sorted((path.name, path.read_bytes()) for stored in damaged for path in stored.files)
    quarantine = Quarantine(tmp_path / "aside")
    folders = [quarantine.take(stored) for stored in damaged]
    kept = [path for path in (tmp_path / "aside").rglob("*") if path.is_file()]
    assert sorted((path.name, path.read_bytes()) for path in kept) == files
    assert len(files) == 12
    assert folders[0] == folders[1] != folders[2] == folders[3]  # one folder a run, until a name is taken


def test_an_engine_is_all_its_files(cache: Corpus) -> None:
    engine = cache.engine("lightglue")
    Path(f"{engine}.dsse.json").write_text("{}")
    (stored,) = [e for e in take_inventory(cache.engines).engines if e.engine_path == engine]
    assert [path.name.removeprefix(engine.name) for path in stored.files] == ["", ".sha256", ".json", ".dsse.json"]
    assert stored.size == sum(path.stat().st_size for path in stored.files)


def test_a_file_that_goes_while_one_looks_is_no_error(cache: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [path.name for path in cache.engines.iterdir()]
    monkeypatch.setattr(os, "listdir", lambda _: [*names, ".gone.0123456789abcdef.tmp"])
    assert len(take_inventory(cache.engines).engines) == 3


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(C10Error, match="expected a directory of engines, got No such file"):
        take_inventory(tmp_path / "engines")
    (tmp_path / "file").write_text("")
    with pytest.raises(C10Error, match="Not a directory"):
        take_inventory(tmp_path / "file")


def test_a_cache_root_of_several_hosts_is_several_directories(tmp_path: Path) -> None:
    root = tmp_path / "with [brackets]"
    for name in ("orin-16", "orin-8", "other"):
        (root / name).mkdir(parents=True)
    assert cache_directories(root / "orin-{sm_count}") == [root / "orin-16", root / "orin-8"]
    assert cache_directories(root / "{device}-{sm_count}") == [root / "orin-16", root / "orin-8"]
    assert cache_directories(root / "not there") == [root / "not there"]
