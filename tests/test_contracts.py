"""The import contracts of pyproject.toml hold, and each of them catches what it is there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the c10 in a folder, with the contracts of the pyproject.toml beside it."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "added", "found"),
    [
        ("files/naming.py", "from c10.proof import record", "c10.files is not allowed to import c10.proof"),
        ("proof/load.py", "def f(): import c10.runtimes.select", "c10.proof is not allowed to import c10.runtimes"),
        ("building/build.py", "import c10.runtimes.child.worker", "c10.building.build -> c10.runtimes.child.worker"),
        ("attic/__init__.py", "", "not listed as layers: - c10.attic"),
    ],
    ids=["upward", "between siblings, in a function", "through the wall of the child", "a folder without a layer"],
)
def test_a_contract_catches(tmp_path: Path, module: str, added: str, found: str) -> None:
    shutil.copytree(ROOT / "c10", tmp_path / "c10", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    broken = tmp_path / "c10" / module
    broken.parent.mkdir(exist_ok=True)
    with broken.open("a", encoding="utf-8") as source:
        source.write(f"\n{added}\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    assert found in " ".join((done.stdout + done.stderr).split())
