"""Digests of pieces: of the bytes that were published, whoever published them, and never copied."""

from __future__ import annotations

import hashlib
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import Corpus, planned, request_of

from c10 import EngineCacheEntry, EngineCompiler
from c10.errors import EngineBuildError, PublishError
from c10.files import pieces as module
from c10.files.pieces import PIECE, FileDigests, PieceDigests, digest_pieces, listening, tell
from c10.files.publish import staged
from c10.files.sidecar import Sha256Sidecar
from c10.proof.record import read_record

MODEL = "lightglue"
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 12345]


def content(size: int) -> bytes:
    """Return bytes whose pieces all differ."""
    return b"".join(bytes([start // PIECE]) * min(PIECE, size - start) for start in range(0, size, PIECE))


def expected(data: bytes) -> FileDigests:
    """Compute the digests in the plainest way."""
    pieces = tuple(hashlib.sha256(data[start : start + PIECE]).hexdigest() for start in range(0, len(data), PIECE))
    return FileDigests(hashlib.sha256(data).hexdigest(), len(data), PieceDigests(PIECE, pieces))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_published_and_what_is_read_have_the_same_pieces(tmp_path: Path, size: int) -> None:
    data, path = content(size), tmp_path / "x.engine"
    with listening(path) as heard:
        assert Sha256Sidecar.write_atomic_and_sidecar(str(path), memoryview(data)) == hashlib.sha256(data).hexdigest()
    assert heard == [expected(data)] == [digest_pieces(path)]
    heard[0].pieces.refuse_mismatch(size, heard[0].sha256)


@pytest.mark.parametrize("most", [1, 4097, 1 << 20])
def test_short_reads_do_not_move_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    data, path = content(70_000), tmp_path / "x.engine"
    path.write_bytes(data)
    monkeypatch.setattr(module, "PIECE", 30_000)
    readv = module.os.readv
    monkeypatch.setattr(module.os, "readv", lambda descriptor, views: readv(descriptor, [views[0][:most]]))
    digests = [hashlib.sha256(data[start : start + 30_000]).hexdigest() for start in range(0, 70_000, 30_000)]
    assert digest_pieces(path).pieces == PieceDigests(30_000, tuple(digests))


def test_the_memory_is_not_copied(tmp_path: Path) -> None:
    data = bytearray(content(4 * PIECE))
    tracemalloc.start()
    try:
        with staged(tmp_path / "x.engine", data) as file:
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.pieces == expected(bytes(data)).pieces
    assert peak < 1 << 20
    data.append(0)  # refused while anybody still looks at the buffer


def test_after_a_failed_write_no_thread_reads_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("c10.files.publish.os.write", full)
    data = bytearray(content(3 * PIECE))
    threads = threading.active_count()
    with pytest.raises(PublishError, match="No space left on device"):
        Sha256Sidecar.write_atomic_and_sidecar(tmp_path / "x.engine", data)
    assert threading.active_count() == threads


def test_only_who_listens_for_a_path_is_told(tmp_path: Path) -> None:
    path, digests = tmp_path / "x.engine", expected(b"x")
    tell(path, digests)
    with listening(path) as heard, listening(tmp_path / "y.engine") as other:
        tell(path, digests)
    tell(path, digests)
    assert (heard, other) == ([digests], [])
    assert not module._LISTENING


# The record, for injected runtimes


class Runtime:
    """An injected runtime that writes an engine of several pieces in one way or another."""

    kind = "trt"

    def __init__(self, write: Callable[[Path, bytes], str]) -> None:
        self._write = write
        self.data = content(PIECE + 77)

    def compile_engine(self, onnx_path: Path, build_config: Any, output_path: Path, **_: Any) -> EngineCacheEntry:  # noqa: ARG002
        return EngineCacheEntry(engine_path=output_path, sha256=self._write(output_path, self.data))


def in_a_thread(path: Path, data: bytes) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(Sha256Sidecar.write_atomic_and_sidecar(path, data)))
    thread.start()
    thread.join()
    return found[0]


def twice(path: Path, data: bytes) -> str:
    Sha256Sidecar.write_atomic_and_sidecar(path, b"a first attempt")
    return Sha256Sidecar.write_atomic_and_sidecar(path, data)


def by_hand(path: Path, data: bytes) -> str:
    """Bypass Sha256Sidecar, as a runtime that copies an engine from elsewhere does."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    Sha256Sidecar.path(path).write_text(f"{sha256}  {path.name}\n")
    return sha256


def changed_afterwards(path: Path, data: bytes) -> str:
    Sha256Sidecar.write_atomic_and_sidecar(path, b"not this one")
    return by_hand(path, data)


@pytest.fixture
def one(corpus: Corpus) -> Corpus:
    corpus.models = (MODEL,)
    return corpus.write()


def built(corpus: Corpus, runtime: Any) -> Path:
    (result,) = EngineCompiler(runtime).compile_engines_for_corpus(request_of(corpus))
    return result.entry.engine_path


@pytest.mark.parametrize(
    ("write", "reads"),
    [
        (Sha256Sidecar.write_atomic_and_sidecar, 0),
        (in_a_thread, 0),
        (twice, 0),
        (by_hand, 1),
        (changed_afterwards, 1),
    ],
)
def test_the_record_has_the_pieces_whichever_way_a_runtime_writes(
    one: Corpus, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], str], reads: int
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("c10.building.published.digest_pieces", lambda path: read.append(path) or digest_pieces(path))
    runtime = Runtime(write)
    path = built(one, runtime)
    record = read_record(Path(f"{path}.json"))
    digests = expected(runtime.data)
    assert (record.sha256, record.size, record.pieces) == (digests.sha256, digests.size, digests.pieces)
    assert len(read) == reads  # once more where c10 did not see the bytes, and otherwise not


def test_an_entry_may_bring_the_pieces_of_an_engine_that_another_process_published(
    one: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(path: Path) -> FileDigests:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("c10.building.published.digest_pieces", never)
    runtime = Runtime(by_hand)
    compile_engine, pieces = runtime.compile_engine, expected(runtime.data).pieces
    monkeypatch.setattr(runtime, "compile_engine", lambda *a, **k: replace(compile_engine(*a, **k), pieces=pieces))
    assert read_record(Path(f"{built(one, runtime)}.json")).pieces == pieces


@pytest.mark.parametrize("pieces", [PieceDigests(PIECE, ("0" * 64,)), PieceDigests(0, ()), "nonsense"])
def test_pieces_that_do_not_fit_are_not_recorded(one: Corpus, monkeypatch: pytest.MonkeyPatch, pieces: Any) -> None:
    runtime = Runtime(by_hand)
    compile_engine = runtime.compile_engine
    monkeypatch.setattr(runtime, "compile_engine", lambda *a, **k: replace(compile_engine(*a, **k), pieces=pieces))
    assert read_record(Path(f"{built(one, runtime)}.json")).pieces == expected(runtime.data).pieces


def test_an_engine_that_is_not_what_its_sidecar_says_is_no_build(one: Corpus) -> None:
    def lie(path: Path, data: bytes) -> str:
        sha256 = by_hand(path, data)
        path.write_bytes(data[:-1] + b"!")
        return sha256

    with pytest.raises(EngineBuildError, match="runtime: expected an engine of digest"):
        built(one, Runtime(lie))
    assert not list(one.engines.glob("*.json"))


def test_an_engine_of_the_same_digest_that_c10_published_needs_no_second_read(one: Corpus) -> None:
    path = built(one, planned(one.folder)[1])
    record = read_record(Path(f"{path}.json"))
    assert record.pieces == PieceDigests(PIECE, (record.sha256,))
