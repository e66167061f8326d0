"""Which files of a cache_root no target needs, and why; what is deleted, and what is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from c10.cache.inventory import take_inventory
from c10.cache.unneeded import Unneeded, delete, is_doubtful, unneeded
from c10.files.locks import reserved

WANTED = "eye__sm87_jp6.2_trt10.3_fp16.engine"


def store(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        for suffix in ("", ".sha256", ".json"):
            (folder / f"{name}{suffix}").write_bytes(b"x" * 10)


def found(folder: Path, *wanted: str) -> list[Unneeded]:
    targets: list[Any] = [SimpleNamespace(engine_path=folder / name) for name in wanted]
    return list(unneeded(take_inventory(folder), targets))


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("eye__sm89_jp6.2_trt10.3_fp16.engine", "other_host", "another host: sm89, JetPack 6.2, TensorRT 10.3"),
        ("eye__sm87_jpnone_trt10.3_fp16.engine", "other_host", "another host: sm87, TensorRT 10.3"),
        ("eye__sm87_jp6.2_trt10.5_fp16.engine", "other_host", "another host: sm87, JetPack 6.2, TensorRT 10.5"),
        ("ear__sm87_jp6.2_trt10.3_fp16.engine", "model_gone", "ear is not in the corpus"),
        ("eye__sm87_jp6.2_trt10.3_fp32.engine", "other_precision", "fp32; the corpus wants fp16"),
    ],
)
def test_why_an_engine_is_not_needed(tmp_path: Path, name: str, kind: str, why: str) -> None:
    store(tmp_path, WANTED, name)
    (item,) = found(tmp_path, WANTED)
    assert (item.engine_path, item.kind, item.why) == (tmp_path / name, kind, why)
    assert (len(item.files), item.size, item.label) == (3, 30, name)


def test_a_needed_engine_keeps_all_its_files(tmp_path: Path) -> None:
    store(tmp_path, WANTED)
    (tmp_path / WANTED).unlink()
    assert found(tmp_path, WANTED) == []


def test_a_foreign_file_is_never_among_them(tmp_path: Path) -> None:
    store(tmp_path, WANTED)
    (tmp_path / "notes.txt").write_bytes(b"mine")
    (tmp_path / "eye.engine").write_bytes(b"not named by c10")
    assert found(tmp_path, WANTED) == []


def test_it_is_doubtful_where_no_target_has_an_engine(tmp_path: Path) -> None:
    store(tmp_path, "ear__sm87_jp6.2_trt10.3_fp16.engine")
    target: Any = SimpleNamespace(engine_path=tmp_path / WANTED)
    assert is_doubtful(found(tmp_path, WANTED), [target])
    assert not is_doubtful([], [target])
    store(tmp_path, WANTED)
    assert not is_doubtful(found(tmp_path, WANTED), [target])


def test_all_files_of_an_engine_go_and_nothing_else(tmp_path: Path) -> None:
    store(tmp_path, WANTED, "ear__sm87_jp6.2_trt10.3_fp16.engine")
    (item,) = found(tmp_path, WANTED)
    assert delete(item) == ""
    kept = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert kept == {WANTED, f"{WANTED}.sha256", f"{WANTED}.json"}


def test_an_engine_that_is_being_built_is_left(tmp_path: Path) -> None:
    store(tmp_path, "ear__sm87_jp6.2_trt10.3_fp16.engine")
    (item,) = found(tmp_path, WANTED)
    with reserved(item.engine_path) as free:
        assert free
        assert delete(item) == "being built now: not deleted"
    assert all(path.exists() for path in item.files)
