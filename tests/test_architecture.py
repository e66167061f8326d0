"""CONTRIBUTING.md, docs/architecture.md and docs/glossary.md say what the source says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
GLOSSARY = (ROOT / "docs/glossary.md").read_text("utf-8")
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md", "docs/where-do-i-add.md")


def test_the_picture_shows_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    picture = re.search(r"<!-- layers -->\n```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert picture is not None
    shown = [re.split(r" {2,}", line)[0] for line in picture[1].splitlines()]
    assert shown == contracts[0]["layers"]


def test_each_folder_of_the_package_is_in_the_table() -> None:
    folders = {path.parent for path in (ROOT / "c10").rglob("__init__.py")} - {ROOT / "c10"}
    rows = re.findall(r"^\| `(c10/[a-z/]+)` \| .+ \|$", ARCHITECTURE, re.MULTILINE)
    assert sorted(rows) == sorted(str(folder.relative_to(ROOT)) for folder in folders)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_named_files_exist(page: str) -> None:
    text, folder = (ROOT / page).read_text("utf-8"), (ROOT / page).parent
    links = {(folder / link).resolve() for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)}
    named = {ROOT / name for name in re.findall(r"`((?:c10|tests|docs|benchmarks|\.ci)/[\w./-]*)`", text)}
    missing = {str(path.relative_to(ROOT)) for path in links | named if not path.exists()}
    assert missing == set()


def test_the_rebuild_decision_is_where_the_page_says() -> None:
    for path, function in re.findall(r"\*\*`(c10/[\w/]+\.py)`, `(\w+)\(\)`\*\*", ARCHITECTURE):
        assert f"\ndef {function}(" in (ROOT / path).read_text("utf-8")
    assert ARCHITECTURE.count("()`**") == 2


def test_the_glossary_is_sorted_and_has_one_row_for_each_term() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\*", GLOSSARY, re.MULTILINE)
    assert terms == sorted(set(terms), key=str.lower)
    asked = """backbone, build key, cache hit, compute capability, corpus, digest, engine, envelope, kind,
    optimization profile, orphan, plan, provenance, quarantine, record, sidecar, stamp, target"""
    assert {term.strip() for term in asked.split(",")} <= set(terms)
