"""docs/commands.md names every command, option, state and JSON key that there is."""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import pytest
from command_corpus import add_jetson_engines, as_json, command, warm_corpus
from harness import flip_byte

from c10.cache.inventory import EngineState, LeftoverKind
from c10.errors import Reason
from c10.host.capabilities import HOST_FACTS

DOCS = (Path(__file__).parent.parent / "docs" / "commands.md").read_text("utf-8")
COMMANDS = ("engines-plan", "engines-prune", "engines-report", "engines-verify")
WORDS = set(re.findall(r"`([^`\n]+)`", DOCS))


def keys_of(document: Any) -> set[str]:
    """Return all keys of a document but those that are data: counts by state, and a host's facts."""
    if isinstance(document, list):
        return set().union(*map(keys_of, document))
    if not isinstance(document, dict):
        return set()
    deeper = [value for key, value in document.items() if key not in {"counts", "states", "host"}]
    return {*document, *set().union(*map(keys_of, deeper))}


def test_all_commands_are_installed_and_documented() -> None:
    found = {entry.name for entry in entry_points(group="doit.COMMAND") if entry.value.startswith("c10.")}
    assert found == set(COMMANDS)
    assert all(f"\n## doit {name}\n" in DOCS for name in found)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(tmp_path: Path, name: str) -> None:
    text = command(tmp_path, "help", name).stdout
    section = DOCS.partition(f"\n## doit {name}\n")[2].partition("\n## ")[0]
    options = re.findall(r"^ {6}.*--([a-z-]+)", text, re.MULTILINE)
    assert options
    assert [option for option in options if f"--{option}" not in section] == []


def test_every_key_of_every_document_is_documented(tmp_path: Path) -> None:
    folder = warm_corpus(tmp_path / "checkout")
    flip_byte(add_jetson_engines(folder, "left_eye")[0])
    (folder / "engines" / "notes.txt").write_text("mine")
    command(folder, "engines-report")
    documents = [
        json.loads((folder / "engines-report.json").read_text("utf-8")),
        as_json(folder, "engines-verify", "--corpus", "backbones.toml", rc=1),
        as_json(folder, "engines-plan"),
        as_json(folder, "engines-prune"),
    ]
    keys = keys_of(documents)
    assert {"engines", "leftovers", "corpus", "items", "why", "nearest"} <= keys
    assert keys - WORDS == set()


def test_every_state_and_reason_is_documented() -> None:
    assert {*get_args(EngineState), *get_args(LeftoverKind)} - WORDS == set()
    assert {*get_args(Reason)} - {"forced"} - WORDS == set()  # forced is a run's, not a look's


def test_every_fact_that_makes_a_plan_exact_is_documented(tmp_path: Path) -> None:
    section = DOCS.partition("**`--host FACTS`**")[2].partition("```")[0]
    described = " ".join(command(tmp_path, "help", "engines-plan").stdout.split())
    known = [fact.name for fact in HOST_FACTS if not fact.not_in_key]
    assert [name for name in known if f"`{name}`" not in section] == []
    assert [name for name in known if not re.search(rf"\b{name}\b", described)] == []
