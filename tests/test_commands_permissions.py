"""What may not be read is an answer or a message of every command, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_corpus import command_without_rights, warm_corpus

COMMANDS = (
    ("engines-plan",),
    ("engines-plan", "--host", "rtx_version=9.9"),
    ("engines-verify",),
    ("engines-verify", "--corpus", "backbones.toml"),
    ("engines-prune",),
    ("engines-prune", "--delete"),
    ("engines-report",),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return warm_corpus(tmp_path / "checkout")


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("bits", [0o000, 0o400, 0o100], ids=["nothing", "list only", "search only"])
def test_a_cache_that_may_not_be_read_is_3_and_says_so(folder: Path, arguments: tuple[str, ...], bits: int) -> None:
    with mode(folder / "engines", bits):
        done = command_without_rights(folder, *arguments)
    assert done.returncode == 3
    assert done.stderr.startswith("ERROR: engines: expected a directory of engines, got Permission denied\n")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("bits", [0o000, 0o400, 0o100], ids=["nothing", "list only", "search only"])
def test_a_cache_of_many_hosts_that_may_not_be_searched(folder: Path, arguments: tuple[str, ...], bits: int) -> None:
    config = folder / "backbones.toml"
    config.write_text(f'cache_root = "engines/{{device}}"\n{config.read_text()}')
    (folder / "engines" / "unknown").mkdir()
    with mode(folder / "engines", bits):
        command_without_rights(folder, *arguments)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_models_that_may_not_be_searched(folder: Path, arguments: tuple[str, ...]) -> None:
    with mode(folder / "models", 0o000):
        done = command_without_rights(folder, *arguments)
    assert done.returncode in {0, 2}
