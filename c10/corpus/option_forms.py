"""What the value of a build option may be: read from backbones.toml, checked if given in Python, restored from JSON.

A row of ``BUILD_OPTIONS`` names one of these forms. An option whose values have rules of their own gets a form here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c10.corpus.toml_table import Table

_INT_MAX = 2**31 - 1


class Form(ABC):
    """One kind of value. None is accepted beside it if the option's default is None."""

    __slots__ = ()

    @property
    @abstractmethod
    def expected(self) -> str:
        """The values that a caller in Python may give, in words."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Whether a value given in Python has this form."""

    @abstractmethod
    def read(self, table: Table, key: str, default: Any) -> Any:
        """Return the key's value in a TOML table, or ``default``; a problem is noted in the table."""

    def from_json(self, value: Any) -> Any:
        """Return the value that was written as JSON, where a tuple is a list and a path is text."""
        return value


@dataclass(frozen=True, slots=True)
class Flag(Form):
    """True or False."""

    @property
    def expected(self) -> str:
        """Name both values."""
        return "True or False"

    def accepts(self, value: Any) -> bool:
        """Refuse "no" and 0, which Python would take for a value."""
        return isinstance(value, bool)

    def read(self, table: Table, key: str, default: Any) -> Any:
        """Read a boolean."""
        return table.flag(key, default)


@dataclass(frozen=True, slots=True)
class Choice(Form):
    """One of a few words."""

    words: tuple[str, ...]
    """The words, in the order in which messages name them; ``get_args`` of the option's Literal."""

    @property
    def expected(self) -> str:
        """List the words."""
        return f"one of {', '.join(self.words)}"

    def accepts(self, value: Any) -> bool:
        """Compare with the words."""
        return isinstance(value, str) and value in self.words

    def read(self, table: Table, key: str, default: Any) -> Any:
        """Read one of the words."""
        return table.choice(key, self.words, default)


@dataclass(frozen=True, slots=True)
class Whole(Form):
    """An integer of a range, both ends included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """Give the range."""
        return f"an int from {self.low} to {self.high}"

    def accepts(self, value: Any) -> bool:
        """Compare with the range; True and False are no integers here."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def read(self, table: Table, key: str, default: Any) -> Any:
        """Read an integer of the range."""
        return table.integer(key, self.low, self.high, default)


@dataclass(frozen=True, slots=True)
class Positive(Form):
    """An integer from 1 on."""

    @property
    def expected(self) -> str:
        """Name the kind of value."""
        return "a positive int"

    def accepts(self, value: Any) -> bool:
        """Compare with 32 bits; more is a typing error."""
        return Whole(1, _INT_MAX).accepts(value)

    def read(self, table: Table, key: str, default: Any) -> Any:
        """Read a positive integer."""
        return table.positive(key, default)


@dataclass(frozen=True, slots=True)
class Texts(Form):
    """Several non-empty strings, in order."""

    @property
    def expected(self) -> str:
        """Name the kind of value."""
        return "a tuple of non-empty strings"

    def accepts(self, value: Any) -> bool:
        """Look at each; one string is not a tuple of its letters."""
        return isinstance(value, tuple) and all(isinstance(text, str) and bool(text.strip()) for text in value)

    def read(self, table: Table, key: str, default: Any) -> Any:  # noqa: ARG002 - an absent array is empty
        """Read an array of strings."""
        return table.texts(key)

    def from_json(self, value: Any) -> Any:
        """Return the tuple."""
        return tuple(value)


@dataclass(frozen=True, slots=True)
class OneFile(Form):
    """The path of a file; relative to backbones.toml if it is written there."""

    @property
    def expected(self) -> str:
        """Name the kind of value."""
        return "a pathlib.Path"

    def accepts(self, value: Any) -> bool:
        """Refuse text: later steps ask a Path for its name."""
        return isinstance(value, Path)

    def read(self, table: Table, key: str, default: Any) -> Any:
        """Read a path."""
        return table.path(key, default)

    def from_json(self, value: Any) -> Any:
        """Return the path, or None."""
        return Path(value) if value else None


@dataclass(frozen=True, slots=True)
class Files(Form):
    """The paths of several files, in order; relative to backbones.toml if they are written there."""

    @property
    def expected(self) -> str:
        """Name the kind of value."""
        return "a tuple of pathlib.Path"

    def accepts(self, value: Any) -> bool:
        """Look at each; a list is taken as well."""
        return isinstance(value, (tuple, list)) and all(isinstance(path, Path) for path in value)

    def read(self, table: Table, key: str, default: Any) -> Any:  # noqa: ARG002 - an absent array is empty
        """Read an array of paths."""
        return table.paths(key)

    def from_json(self, value: Any) -> Any:
        """Return the tuple of paths."""
        return tuple(map(Path, value))


@dataclass(frozen=True, slots=True)
class ComputeCapabilities(Form):
    """Different compute capabilities without the dot, such as 75 and 89; sorted if read from TOML."""

    @property
    def expected(self) -> str:
        """Give an example."""
        return 'a tuple of different ones such as ("75", "89")'

    def accepts(self, value: Any) -> bool:
        """Look at each; a list is taken as well."""
        return isinstance(value, (tuple, list)) and all(map(_is_digits, value)) and len(set(value)) == len(value)

    def read(self, table: Table, key: str, default: Any) -> Any:  # noqa: ARG002 - an absent array is empty
        """Read an array of digits as text."""
        found = table.texts(key)
        if not self.accepts(found):
            table.problems.add(table.at(key), 'expected different ones such as ["75", "89"]', repr(list(found)))
            return ()
        return tuple(sorted(found, key=int))

    def from_json(self, value: Any) -> Any:
        """Return the tuple."""
        return tuple(value)


def _is_digits(sm: Any) -> bool:
    return isinstance(sm, str) and sm.isascii() and sm.isdecimal()
