"""`doit engines-prune`: lists what is not needed, deletes when told to, and never what the corpus uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_corpus import add_jetson_engines, as_json, cold_corpus, command, engine, untouched, warm_corpus
from harness import doit, flip_byte
from test_inventory import held_elsewhere


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return warm_corpus(tmp_path / "checkout")


def needed(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the files of the corpus's own engines, byte for byte and mtime for mtime."""
    return {name: value for name, value in untouched(folder).items() if "rtx" in name and ".locks" not in name}


def leave_orphan(path: Path) -> Path:
    orphan = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    orphan.write_bytes(b"half an engine" * 10_000)
    return orphan


def drop_from_corpus(folder: Path, model_name: str) -> None:
    head, *backbones = (folder / "backbones.toml").read_text().split("[[backbones]]")
    kept = [text for text in backbones if f'"{model_name}"' not in text]
    (folder / "backbones.toml").write_text("[[backbones]]".join([head, *kept]))


def test_nothing_to_prune(folder: Path) -> None:
    text = command(folder, "engines-prune", "--delete").stdout
    assert text == "Nothing to prune: 2 engines in cache_root, all needed by backbones.toml here.\n"


def test_it_lists_and_deletes_nothing(folder: Path) -> None:
    add_jetson_engines(folder, "left_eye", "gone")
    drop_from_corpus(folder, "right_eye")
    leave_orphan(engine(folder, "right_eye"))
    before = untouched(folder)
    document = as_json(folder, "engines-prune")
    assert [(item["files"][0].split("__")[0], item["kind"]) for item in document["items"]] == [
        ("gone", "other_host"),
        ("left_eye", "other_host"),
        ("right_eye", "model_gone"),
        (".right_eye", "orphan"),
    ]
    assert document["deleted"] is False
    assert document["size"] == sum(item["size"] for item in document["items"]) > 140_000
    text = command(folder, "engines-prune").stdout
    assert "4 items, " in text
    assert "Delete them with: doit engines-prune --delete" in text
    assert untouched(folder) == before


def test_it_deletes_whole_sets_and_leaves_the_corpus_alone(folder: Path) -> None:
    (jetson,) = add_jetson_engines(folder, "left_eye")
    Path(f"{jetson}.dsse.json").write_text("{}")
    (folder / "engines" / "notes.txt").write_text("mine")
    before = needed(folder)
    assert len(before) == 6
    text = command(folder, "engines-prune", "--delete").stdout
    assert "Deleted: 1 item, " in text
    assert list(jetson.parent.glob("*trt10.3*")) == []
    assert needed(folder) == before
    assert (folder / "engines" / "notes.txt").exists()
    assert doit(folder, "engines").stdout.count("REUSED ") == 2


def test_a_damaged_engine_of_the_corpus_is_not_pruned(folder: Path) -> None:
    flip_byte(engine(folder, "left_eye"))
    before = needed(folder)
    assert "Nothing to prune" in command(folder, "engines-prune", "--delete").stdout
    assert needed(folder) == before


def test_other_hosts_may_be_kept(folder: Path) -> None:
    add_jetson_engines(folder, "left_eye", "gone")
    drop_from_corpus(folder, "right_eye")
    document = as_json(folder, "engines-prune", "--keep-hosts", "--delete")
    assert [(item["kind"], item["deleted"]) for item in document["items"]] == [("model_gone", True)]
    assert len(list((folder / "engines").glob("*trt10.3*.engine"))) == 2


def test_another_precision_is_not_needed(folder: Path) -> None:
    config = folder / "backbones.toml"
    config.write_text(config.read_text().replace("fp32", "fp16"))
    document = as_json(folder, "engines-prune")
    assert {(item["kind"], item["why"]) for item in document["items"]} == {
        ("other_precision", "fp32; the corpus wants fp16")
    }


def test_where_nothing_that_is_needed_exists_it_doubts_first(folder: Path) -> None:
    """Another host's cache, or another corpus: what would go is somebody's whole fleet."""
    (folder / "engines").rename(folder / "mine")
    jetson = add_jetson_engines(folder, "left_eye", "right_eye")
    doubt = "Is this the right host, and the right corpus (--config FILE)? If both are right: doit engines-prune"
    text = command(folder, "engines-prune", "--keep-hosts").stdout
    assert text == "Nothing to prune: 2 engines in cache_root, all needed by backbones.toml here or of other hosts.\n"
    text = command(folder, "engines-prune").stdout
    assert f"Note: no engine that backbones.toml needs here exists. {doubt} --delete --force\n" in text
    assert "Delete them with" not in text
    before = untouched(folder)
    for form in ((), ("--json",)):
        done = command(folder, "engines-prune", "--delete", *form, rc=3)
        assert done.stdout == ""
        assert done.stderr.startswith("ERROR: engines: expected an engine that backbones.toml needs here (Linux ")
        assert "), got none: 2 items, " in done.stderr
        assert " would go. Nothing was deleted.\n" in done.stderr
        assert done.stderr.endswith(f"\n{doubt} --delete --force\n")
    assert untouched(folder) == before
    assert "Deleted: 2 items, " in command(folder, "engines-prune", "--delete", "--force").stdout
    assert [path for path in jetson if path.exists()] == []


def test_the_orphan_of_a_first_build_is_no_matter_of_doubt(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    (folder / "engines").mkdir()
    orphan = leave_orphan(folder / "engines" / "left_eye__sm80.86.89.120+_jpnone_rtx1.7_fp32.engine")
    assert "Deleted: 1 item, " in command(folder, "engines-prune", "--delete").stdout
    assert not orphan.exists()


def test_force_alone_deletes_nothing(folder: Path) -> None:
    (jetson,) = add_jetson_engines(folder, "left_eye")
    assert "Nothing was deleted." in command(folder, "engines-prune", "--force").stdout
    assert jetson.exists()


def test_what_is_being_built_stays(folder: Path) -> None:
    (jetson,) = add_jetson_engines(folder, "left_eye")
    orphan = leave_orphan(jetson)
    with held_elsewhere(jetson):
        text = command(folder, "engines-prune", "--delete", rc=1).stdout
    assert "being built now: not deleted" in text
    assert "Not deleted: 1 item; the reason stands in its line." in text
    assert jetson.exists()
    assert orphan.exists()
    command(folder, "engines-prune", "--delete")
    assert not jetson.exists()
    assert not orphan.exists()


def test_what_cannot_be_deleted_is_said(folder: Path) -> None:
    (jetson,) = add_jetson_engines(folder, "left_eye")
    jetson.unlink()
    jetson.mkdir()
    assert "could not be deleted" in command(folder, "engines-prune", "--delete", rc=1).stdout


def test_an_empty_corpus_needs_nothing_and_deletes_nothing(folder: Path) -> None:
    (folder / "backbones.toml").write_text("")
    before = untouched(folder)
    stderr = command(folder, "engines-prune", "--delete", rc=3).stderr
    assert "expected at least one backbone, got none: all engines would go" in stderr
    assert "another corpus with --config FILE, or delete engines by hand." in stderr
    assert untouched(folder) == before


def test_a_linked_cache_root_is_the_same_cache(folder: Path) -> None:
    (folder / "engines").rename(folder / "real")
    (folder / "engines").symlink_to("real")
    (jetson,) = add_jetson_engines(folder, "left_eye")
    before = needed(folder)
    command(folder, "engines-prune", "--delete")
    assert needed(folder) == before
    assert not jetson.exists()


def test_hosts_of_one_name_keep_their_own_directory(folder: Path) -> None:
    config = folder / "backbones.toml"
    config.write_text(f'cache_root = "engines/{{device}}"\n{config.read_text()}')
    files = list((folder / "engines").glob("*.engine*"))
    for device in ("unknown", "other"):  # this machine is asked for no GPU, so it has no device name
        (folder / "engines" / device).mkdir()
        for file in files:
            (folder / "engines" / device / file.name).write_bytes(file.read_bytes())
    (folder / "engines" / "alias").symlink_to("unknown")
    command(folder, "engines-verify", "--corpus", "backbones.toml")
    document = as_json(folder, "engines-prune", "--delete")
    assert {(item["directory"], item["kind"]) for item in document["items"]} == {("engines/other", "other_host")}
    assert len(list((folder / "engines" / "unknown").glob("*.engine"))) == 2


def test_a_cold_corpus_and_an_empty_folder(tmp_path: Path) -> None:
    folder = cold_corpus(tmp_path / "checkout")
    assert command(folder, "engines-prune", "--delete").stdout == "Nothing to prune: no engine in cache_root.\n"
    assert not (folder / "engines").exists()
    assert "expected a configuration" in command(tmp_path, "engines-prune", rc=3).stderr
