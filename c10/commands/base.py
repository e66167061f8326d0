"""What the commands share: options anywhere on the line, messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from getopt import GetoptError
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from doit.cmd_base import Command
from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from c10.console import events
from c10.console.interruption import show_no_traceback
from c10.console.output import encodable, silence
from c10.console.text import printable
from c10.corpus.config import DEFAULT_CONFIG, C10ProvisioningConfig
from c10.errors import C10Error

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEFAULT_CACHE: Final = "engines"

#: Exit statuses that all commands share; 3 is doit's for whatever could not even begin.
OK: Final = 0
NOT_OK: Final = 1

OPTION_JSON: Final = {
    "name": "as_json",
    "long": "json",
    "type": bool,
    "default": False,
    "help": "print one JSON document instead of lines (its schema: docs/commands.md)",
}
OPTION_CONFIG: Final = {
    "name": "config_file",
    "short": "c",
    "long": "config",
    "type": str,
    "default": DEFAULT_CONFIG,
    "metavar": "FILE",
    "help": "the corpus [default: %(default)s]",
}


_Options = TypeVar("_Options", bound="DataclassInstance")


class EngineCommand(Command, Generic[_Options]):  # type: ignore[misc] # doit is untyped
    """A doit command without a dodo.py. Subclasses write ``look``, which returns the exit status."""

    options_type: type[_Options]
    """The dataclass of the command's options, with one field for each entry of ``cmd_options``, of the same name."""

    def look(self, options: _Options, arguments: list[str]) -> int:
        """Do what the command is for. Raises C10Error."""
        raise NotImplementedError

    def execute(self, opt_values: dict[str, Any], pos_args: list[str]) -> int:
        """Run the command; c10's own errors become doit's, which it prints without a traceback (exit status 3)."""
        events.configure_logging()
        if folder := opt_values.get("cwdPath"):  # `doit -d DIR engines-verify`
            os.chdir(folder)
        try:
            options = self.options_type(**{row.name: opt_values[row.name] for row in fields(self.options_type)})
            status = self.look(options, pos_args)
            _print("")
        except C10Error as error:
            raise InvalidCommand(str(error)) from error
        except BrokenPipeError:  # `doit engines-verify | head -1`: nobody reads on
            silence(sys.stdout)
            return NOT_OK
        except KeyboardInterrupt:
            show_no_traceback()
            raise
        return status

    def parse_execute(self, in_args: list[str]) -> Any:
        """Parse options wherever they stand: getopt, which doit uses, stops at the first DIR."""
        arguments, positional = list(in_args), []
        options, rest = self.cmdparser.parse([])
        while arguments:
            try:
                options, rest = self.cmdparser.parse_only(arguments, options)
            except CmdParseError as error:
                raise InvalidCommand(f"{self.name}: {_problem(error)}\nSee: doit help {self.name}") from error
            if "--" in arguments and rest == arguments[arguments.index("--") + 1 :]:
                positional += rest
                break
            positional += rest[:1]
            arguments = rest[1:]
        options.update(self.opt_vals)
        return self.execute(options, positional)


def _problem(error: CmdParseError) -> str:
    """Return what getopt said; doit's own message repeats its objects."""
    return str(error.__context__) if isinstance(error.__context__, GetoptError) else str(error).strip()


def refuse_arguments(command: EngineCommand[Any], arguments: Sequence[str]) -> None:
    """Raise InvalidCommand where a command without arguments got some."""
    if arguments:
        raise InvalidCommand(
            f"{command.name}: expected no argument, got {' '.join(arguments)!r}\nSee: doit help {command.name}"
        )


def default_config() -> C10ProvisioningConfig | None:
    """Return ./backbones.toml where there is one. Raises ConfigError where it is none."""
    return C10ProvisioningConfig.load(DEFAULT_CONFIG) if os.path.lexists(DEFAULT_CONFIG) else None


def write(lines: Iterable[str]) -> None:
    """Print lines; what the stream's encoding does not have becomes a question mark, not an error."""
    for line in lines:
        _print(f"{printable(line)}\n")


def write_json(document: dict[str, Any]) -> None:
    """Print one JSON document."""
    _print(json.dumps(document, indent=2) + "\n")


def _print(text: str) -> None:
    """Print at once: an answer that was not written was not given. Raises BrokenPipeError and InvalidCommand."""
    if sys.stdout is None:
        raise InvalidCommand("standard output: expected somewhere to write the answer to, got it closed")
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding or "utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise InvalidCommand(f"standard output: expected to write the answer, got {error}") from error
