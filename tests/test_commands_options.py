"""The dataclass of each command's options and the options that doit parses are the same ones."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from c10.commands.base import EngineCommand
from c10.commands.plan import EnginesPlan
from c10.commands.prune import EnginesPrune
from c10.commands.report import EnginesReport
from c10.commands.verify import EnginesVerify

COMMANDS = (EnginesPlan, EnginesPrune, EnginesReport, EnginesVerify)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_a_field_of_its_type(command: type[EngineCommand[Any]]) -> None:
    parsed = {option["name"]: option for option in command.cmd_options}
    assert {field.name for field in fields(command.options_type)} == parsed.keys()
    types = get_type_hints(command.options_type)
    for name, option in parsed.items():
        expected = option["type"] if option["default"] is not None else option["type"] | None
        assert types[name] == expected, name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gets_its_options_as_one_value(command: type[EngineCommand[Any]], monkeypatch: Any) -> None:
    seen: list[Any] = []

    def look(_: Any, options: Any, arguments: list[str]) -> int:
        seen.append((options, arguments))
        return 7

    monkeypatch.setattr(command, "look", look)
    assert command().parse_execute(["somewhere"]) == 7
    defaults = {option["name"]: option["default"] for option in command.cmd_options}
    assert seen == [(command.options_type(**defaults), ["somewhere"])]
