"""Digests of sources: a file is read again exactly when it may have changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import coarse_clock
import pytest
from harness import MODELS, Corpus, onnx_with_external_data, run
from hypothesis import given
from hypothesis import strategies as st

from c10.errors import SourceError
from c10.files.digest import FileDigest, FileStamp, digest_file
from c10.proof.definition import source_files
from c10.proof.sources import SourceDigests


class Counting:
    """Counts the files that are really read."""

    def __init__(self) -> None:
        self.read: list[Path] = []

    def __call__(self, path: Path) -> FileDigest:
        self.read.append(path)
        return digest_file(path)


class AtRest(Counting):
    """Reads files as if their last change were long ago."""

    def __call__(self, path: Path) -> FileDigest:
        return super().__call__(path)._replace(reusable_later=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    return path


def test_a_source_at_rest_is_read_once(source: Path) -> None:
    counting = AtRest()
    digests = SourceDigests(counting)
    assert {digests.sha256(source) for _ in range(5)} == {sha256(source)}
    assert counting.read == [source]


@pytest.mark.parametrize("keep_mtime", [False, True])
def test_a_source_that_changed_is_read_again(source: Path, keep_mtime: bool) -> None:  # noqa: FBT001
    digests = SourceDigests()
    old, status = digests.sha256(source), source.stat()
    source.write_bytes(b"WEIGHTS")
    if keep_mtime:
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.sha256(source) == sha256(source) != old


def test_a_source_replaced_by_another_file_is_read_again(source: Path, tmp_path: Path) -> None:
    digests = SourceDigests()
    digests.sha256(source)
    other = tmp_path / "other"
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    other.replace(source)
    assert digests.sha256(source) == sha256(source)


def test_a_source_rewritten_under_the_same_stamp_is_read_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse_clock.stop(monkeypatch)
    digests = SourceDigests(clock=coarse_clock.just_after)
    old = digests.sha256(source)
    source.write_bytes(b"WEIGHTS")
    assert digests.sha256(source) == sha256(source) != old


def test_a_later_run_trusts_what_stood_long_enough(source: Path) -> None:
    first = SourceDigests(AtRest())
    first.sha256(source)
    known = first.dump([source])
    assert known == {str(source): [sha256(source), list(FileStamp.of(source.stat()))]}
    counting = Counting()
    later = SourceDigests(counting)
    later.learn(known)
    assert later.sha256(source) == sha256(source)
    assert counting.read == []


def test_a_file_hashed_just_after_it_was_written_is_not_trusted_later(source: Path) -> None:
    digests = SourceDigests()
    digests.sha256(source)
    assert digests.dump([source]) == {}  # it may change again under the same time stamp


def test_a_signature_rests_two_seconds_after_the_last_change(source: Path) -> None:
    stamp = FileStamp.of(source.stat())
    assert not stamp.at_rest(time.time_ns())
    assert stamp.at_rest(stamp.changed_at_ns + 2_000_000_001)
    assert not stamp.at_rest(stamp.changed_at_ns - 10**12)  # a clock that was set back


def test_what_is_remembered_of_another_file_does_not_count(source: Path) -> None:
    digests = SourceDigests()
    stamp = FileStamp.of(source.stat())
    digests.learn({str(source): ["0" * 64, list(stamp._replace(inode=stamp.inode + 1))]})
    assert digests.sha256(source) == sha256(source)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda i: st.lists(i, max_size=5), max_leaves=8),
        max_size=4,
    )
)
def test_garbage_that_is_remembered_is_ignored(garbage: dict[str, Any]) -> None:
    digests = SourceDigests()
    digests.learn(garbage)
    for entry in digests.dump(map(Path, garbage)).values():
        assert len(entry[1]) == 4


def test_an_own_finding_wins_over_what_is_remembered(source: Path) -> None:
    digests = SourceDigests(AtRest())
    digests.sha256(source)
    digests.learn({str(source): ["0" * 64, list(FileStamp.of(source.stat()))]})
    assert digests.sha256(source) == sha256(source)


@pytest.mark.parametrize("method", ["sha256", "stamp"])
def test_a_source_that_is_not_there_says_what_to_do(tmp_path: Path, method: str) -> None:
    with pytest.raises(SourceError, match="expected a readable file, got No such file or directory") as raised:
        getattr(SourceDigests(), method)(tmp_path / "none.onnx")
    assert str(tmp_path / "none.onnx") in raised.value.message
    assert "correct its path in backbones.toml" in raised.value.remedy


def test_a_directory_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        SourceDigests().sha256(tmp_path)


def recorded(corpus: Corpus, model: str) -> list[str]:
    """Return the roles of the files that the engine was built from."""
    statement = json.loads(Path(f"{corpus.engine(model)}.json").read_bytes())
    return [entry["name"] for entry in statement["predicate"]["buildDefinition"]["resolvedDependencies"]]


def test_two_plugins_of_one_file_name_are_two_sources(corpus: Corpus) -> None:
    model = MODELS[0]
    for folder in "ab":
        (corpus.folder / folder).mkdir()
        (corpus.folder / folder / "libx.so").write_bytes(folder.encode())
    corpus.backbone[model] = {"plugins": ["a/libx.so", "b/libx.so"]}
    assert run("doit", corpus).outcomes[model] == "BUILT"
    assert recorded(corpus, model) == ["onnx", "plugin:libx.so#1", "plugin:libx.so#2"]
    for folder, order in (("a", 1), ("b", 2)):
        assert run("doit", corpus).calls == []
        (corpus.folder / folder / "libx.so").write_bytes(b"other code")
        changed = run("doit", corpus)
        assert changed.calls == [model]
        assert f"plugin library libx.so#{order} changed" in changed.reason(model)
    (corpus.folder / "a" / "libx.so").write_bytes(b"a")
    assert run("doit", corpus).calls == [model]
    corpus.backbone[model] = {"plugins": ["b/libx.so", "a/libx.so"]}
    assert run("doit", corpus).calls == [model]  # they are loaded in another order


def test_a_model_that_is_exchanged_while_it_is_listed_is_refused(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[0]
    new = corpus.folder / "new.onnx"
    for path, location in ((corpus.onnx(model), "old.bin"), (new, "new.bin")):
        path.write_bytes(onnx_with_external_data(location))
        (corpus.onnx(model).parent / location).write_bytes(location.encode())

    def exchange(*arguments: Any) -> dict[str, Path]:
        files = source_files(*arguments)
        if new.exists():
            new.replace(corpus.onnx(model))
        return files

    with monkeypatch.context() as patch:
        patch.setattr("c10.building.build.source_files", exchange)
        refused = run("EngineCompiler", corpus)
    assert isinstance(refused.error, SourceError)
    assert "expected sources that stay as they are" in refused.error.message
    assert str(corpus.onnx(model)) in refused.error.message
    assert run("doit", corpus).outcomes[model] == "BUILT"
    assert recorded(corpus, model) == ["external_data:new.bin", "onnx"]
    (corpus.onnx(model).parent / "new.bin").write_bytes(b"other weights")
    assert run("doit", corpus).calls == [model]
