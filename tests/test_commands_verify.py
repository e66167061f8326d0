"""`doit engines-verify`: a line an engine, and an exit status that a boot script can use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_corpus import add_jetson_engines, as_json, cold_corpus, command, engine, untouched, warm_corpus
from harness import doit, flip_byte
from networks import matmul_network
from pem_keys import make_keys
from test_inventory import held_elsewhere

from c10 import sign_engine
from c10.cache.inventory import take_inventory
from c10.cache.quarantine import Quarantine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return warm_corpus(tmp_path / "checkout")


def change_onnx(folder: Path, model_name: str) -> None:
    matmul_network(folder / "models" / f"{model_name}.onnx", batch=4, seed=99)


def test_intact_engines_of_all_hosts_are_0(folder: Path) -> None:
    add_jetson_engines(folder)
    before = untouched(folder)
    done = command(folder, "engines-verify")
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["intact"] * 3
    assert done.stdout.splitlines()[3].startswith("engines: 3 intact; ")
    assert untouched(folder) == before


def test_without_configuration_and_dodo_it_reads_engines(folder: Path) -> None:
    (folder / "backbones.toml").unlink()
    (folder / "dodo.py").write_text("raise SystemExit('nobody loads this')", "utf-8")
    assert "2 intact" in command(folder, "engines-verify").stdout
    assert "2 intact" in command(folder.parent, "engines-verify", str(folder / "engines")).stdout


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (flip_byte, "damaged"),
        (lambda e: Path(f"{e}.json").unlink(), "unrecorded"),
        (lambda e: e.unlink(), "lost"),
    ],
)
def test_whatever_is_wrong_is_1_and_says_what_to_do(folder: Path, spoil, state: str) -> None:  # noqa: ANN001 - a parameter
    spoil(engine(folder, "left_eye"))
    lines = command(folder, "engines-verify", rc=1).stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["intact", state]
    assert lines[1].split()[3].startswith("left_eye__sm")
    assert any(line.startswith(f"  {state}: ") and "`doit engines`" in line for line in lines)


def test_nothing_to_verify_is_1_and_nowhere_to_look_is_3(tmp_path: Path) -> None:
    assert "expected a directory of engines" in command(tmp_path, "engines-verify", rc=3).stderr
    assert "doit engines" in command(tmp_path, "engines-verify", rc=3).stderr
    (tmp_path / "engines").mkdir()
    assert "no engine there" in command(tmp_path, "engines-verify", rc=1).stdout


def test_a_corpus_that_is_ready_is_0(folder: Path) -> None:
    done = command(folder, "engines-verify", "--corpus", "backbones.toml")
    assert "All 2 ready: `doit engines` would compile nothing." in done.stdout
    assert doit(folder, "engines").stdout.count("REUSED ") == 2


def test_a_corpus_whose_inputs_changed_is_2(folder: Path) -> None:
    change_onnx(folder, "right_eye")
    before = untouched(folder)
    done = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=2)
    assert "engines: 2 intact" in done.stdout
    assert "not ready  right_eye  ONNX changed: sha256 " in done.stdout
    assert untouched(folder) == before


def test_a_corpus_with_a_missing_or_damaged_engine_is_1(folder: Path) -> None:
    for path in (folder / "engines").glob("right_eye*"):
        path.unlink()
    done = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=1)
    assert "not ready  right_eye  no engine yet" in done.stdout
    flip_byte(engine(folder, "left_eye"))
    document = as_json(folder, "engines-verify", "--corpus", "backbones.toml", rc=1)
    assert [(e["model_name"], e["reason"]) for e in document["corpus"]] == [
        ("left_eye", "digest_mismatch"),
        ("right_eye", "missing"),
    ]


def test_a_cold_corpus_is_1(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    done = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=1)
    assert "0 of 2 engines ready. `doit engines` builds the others." in done.stdout
    assert not (folder / "engines").exists()


def test_a_corpus_that_needs_nothing_is_no_answer_to_a_boot_script(folder: Path) -> None:
    (folder / "backbones.toml").write_text("")
    stderr = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=3).stderr
    assert stderr == (
        "ERROR: backbones.toml: expected at least one backbone, got none: no engine would be needed here\n"
        "Name one in a [[backbones]] table, or another corpus with --corpus FILE.\n"
    )
    assert "2 intact" in command(folder, "engines-verify").stdout, "without --corpus it reads what is there"


def test_what_a_run_could_not_build_is_blocked(folder: Path) -> None:
    (folder / "models" / "left_eye.onnx").unlink()
    done = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=2)
    assert "blocked  left_eye   a source file cannot be read (models/left_eye.onnx: " in done.stdout
    blocked = (
        "1 of 2 engines blocked: the line names the file that a build needs. Put it there, readable, and look again."
    )
    assert done.stdout.splitlines()[-2:] == ["1 of 2 engines ready.", blocked]
    for path in (folder / "engines").iterdir():
        if path.is_file():
            path.unlink()
    done = command(folder, "engines-verify", "--corpus", "backbones.toml", rc=1)
    assert "blocked    left_eye   no engine yet; models/left_eye.onnx: expected a readable ONNX file" in done.stdout
    assert done.stdout.startswith("engines: no engine there.\n")
    assert done.stdout.splitlines()[-2:] == ["0 of 2 engines ready. `doit --continue engines` builds 1.", blocked]


def test_a_named_directory_stands_for_the_cache_root_of_the_corpus(folder: Path) -> None:
    (folder / "engines").rename(folder.parent / "flashed")
    command(folder, "engines-verify", "../flashed", "--corpus", "backbones.toml")
    command(folder, "engines-verify", "../flashed", "../flashed/", "--corpus", "backbones.toml")


def test_a_directory_is_read_once_under_whatever_names(folder: Path) -> None:
    (folder / "alias").symlink_to("engines")
    document = as_json(folder, "engines-verify", "engines", "engines", "./engines", "alias", str(folder / "engines"))
    assert (document["directories"], document["counts"]) == (["engines"], {"intact": 2})
    assert as_json(folder, "engines-verify", "alias", "engines")["directories"] == ["alias"]


def test_options_may_stand_behind_the_directory(folder: Path) -> None:
    document = as_json(folder, "engines-verify", "engines")
    assert document["counts"] == {"intact": 2}
    assert document["exit_status"] == 0
    first = document["engines"][0]
    assert first["engine"] == engine(folder, "left_eye").name
    assert (first["state"], first["reason"], first["why"], first["moved_to"]) == ("intact", None, "", None)
    assert first["size"] == sum((folder / "engines" / name).stat().st_size for name in first["files"])
    assert first["compile_duration_s"] > 0


def test_a_wrong_option_is_3_and_names_the_help(tmp_path: Path) -> None:
    stderr = command(tmp_path, "engines-verify", "--bogus", rc=3).stderr
    assert stderr == "ERROR: engines-verify: option --bogus not recognized\nSee: doit help engines-verify\n"


def test_quarantine_moves_all_files_of_the_damaged_alone(folder: Path) -> None:
    damaged = engine(folder, "left_eye")
    Path(f"{damaged}.dsse.json").write_text("{}")
    flip_byte(damaged)
    Path(f"{engine(folder, 'right_eye')}.json").unlink()  # unrecorded: not known to be damaged
    files = {path.name: path.read_bytes() for path in damaged.parent.glob("left_eye*")}
    done = command(folder, "engines-verify", "--quarantine", "aside", rc=1)
    (aside,) = (folder / "aside").iterdir()
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == files
    assert len(files) == 4
    where = aside.relative_to(folder)
    assert f"moved to {where}" in done.stdout
    assert "  damaged: " not in done.stdout, "nothing is left to do about it here"
    assert f"  1 set aside in {where}: missing from now on. `doit engines`, on the host" in done.stdout
    assert "only `doit engines-verify --corpus FILE` says that they are missing.\n" in done.stdout
    assert [path.name for path in damaged.parent.glob("*.engine")] == [engine(folder, "right_eye").name]
    assert doit(folder, "engines").stdout.count("BUILT ") == 2
    command(folder, "engines-verify", "--quarantine", "aside")


def test_quarantine_overwrites_nothing(folder: Path) -> None:
    path = engine(folder, "left_eye")
    good = path.read_bytes()
    for _ in range(2):
        flip_byte(path)
        command(folder, "engines-verify", "--quarantine", "aside", rc=1)
        path.write_bytes(good)
        for file in next((folder / "aside").iterdir()).glob("*.engine.*"):
            shutil.copy2(file, path.parent)
    assert len(list((folder / "aside").rglob("*.engine"))) == 2


def test_quarantine_on_another_file_system(folder: Path) -> None:
    other = Path("/dev/shm")  # noqa: S108 - a file system of its own, on every Linux
    if not other.is_dir() or other.stat().st_dev == folder.stat().st_dev:
        pytest.skip("shared memory is no other file system here")
    aside = other / f"c10-quarantine-{os.getpid()}"
    flip_byte(engine(folder, "left_eye"))
    files = {path.name: path.read_bytes() for path in (folder / "engines").glob("left_eye*")}
    try:
        command(folder, "engines-verify", "--quarantine", str(aside), rc=1)
        assert {path.name: path.read_bytes() for path in aside.rglob("left_eye*")} == files
    finally:
        shutil.rmtree(aside)
    assert list((folder / "engines").glob("left_eye*")) == []


def test_quarantine_that_cannot_be_made_moves_nothing(folder: Path) -> None:
    flip_byte(engine(folder, "left_eye"))
    (folder / "aside").write_text("a file")
    before = untouched(folder)
    assert "expected to move left_eye" in command(folder, "engines-verify", "--quarantine", "aside", rc=3).stderr
    assert untouched(folder) == before


def test_quarantine_leaves_an_engine_that_is_being_built(folder: Path) -> None:
    path = engine(folder, "left_eye")
    flip_byte(path)
    with held_elsewhere(path):
        document = as_json(folder, "engines-verify", "--quarantine", "aside", rc=1)
    assert document["counts"] == {"intact": 1, "building": 1}
    assert path.exists()


def test_hostile_names_move_no_cursor(folder: Path) -> None:
    (folder / "engines" / "\x1b[31mred\nline").write_text("")
    Path(os.fsdecode(os.fsencode(folder / "engines") + b"/\xff")).write_text("")
    done = command(folder, "engines-verify")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred\\nline" in done.stdout
    assert as_json(folder, "engines-verify")["leftovers"][0]["kind"] == "foreign"


def test_a_reader_that_stops_reading_is_no_traceback(folder: Path) -> None:
    script = f"{sys.executable} -m doit engines-verify | true"
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_help_names_every_exit_status(tmp_path: Path) -> None:
    text = command(tmp_path, "help", "engines-verify").stdout
    assert [line.strip()[0] for line in text.splitlines() if line.strip()[:2] in {"0:", "1:", "2:", "3:"}] == list(
        "0123"
    )


def test_quarantine_looks_again_before_it_takes(folder: Path) -> None:
    """Between the look and the move a build may have put a whole engine there."""
    before = untouched(folder)
    inventory = take_inventory(folder / "engines")
    quarantine = Quarantine(folder / "aside")
    assert [quarantine.take(stored) for stored in inventory.engines] == [None, None]
    assert {name: value for name, value in untouched(folder).items() if ".locks" not in name} == {
        name: value for name, value in before.items() if ".locks" not in name
    }


def test_a_policy_on_signatures_is_followed(folder: Path) -> None:
    trusted, stranger = make_keys(folder / "keys", "trusted"), make_keys(folder / "keys", "stranger")
    policy = f'[signing]\nrequire_signature = true\ntrusted_keys = ["{trusted.public}"]\n'
    with (folder / "backbones.toml").open("a", encoding="utf-8") as config:
        config.write(policy)
    unsigned = command(folder, "engines-verify", rc=1)
    assert [line.split()[0] for line in unsigned.stdout.splitlines()[:2]] == ["untrusted"] * 2
    for stored in take_inventory(folder / "engines").engines:
        sign_engine(stored.engine_path, stranger.private)
    assert "2 untrusted" in command(folder, "engines-verify", rc=1).stdout
    for stored in take_inventory(folder / "engines").engines:
        sign_engine(stored.engine_path, trusted.private)
    assert "2 intact" in command(folder, "engines-verify").stdout
    assert "2 intact" in command(folder, "engines-verify", "engines").stdout, "a bare DIR has no policy"


@pytest.mark.parametrize("arguments", [[], ["--corpus", "backbones.toml"]], ids=["default", "corpus"])
def test_the_key_of_the_environment_is_part_of_the_policy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    own = make_keys(folder / "keys", "own")
    monkeypatch.setenv("C10_SIGNING_KEY", str(own.private))
    assert "2 untrusted" in command(folder, "engines-verify", *arguments, rc=1).stdout
    for stored in take_inventory(folder / "engines").engines:
        sign_engine(stored.engine_path, own.private)
    assert "2 intact" in command(folder, "engines-verify", *arguments).stdout
    assert "2 intact" in command(folder, "engines-verify", "engines").stdout, "a bare DIR has no policy"
