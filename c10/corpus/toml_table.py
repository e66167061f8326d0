"""Typed access to parsed TOML. Problems are collected, so that one error reports them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from c10.errors import ConfigError

_T = TypeVar("_T")
_INT_MAX: Final = 2**31 - 1  # TensorRT's dimensions have 32 bits; a larger number is a typing error
_INT64: Final = (-(2**63), 2**63 - 1)  # the range of a value of a shape input in TensorRT
_SHOWN: Final = 120  # characters of a wrong value that a message repeats


class Problems:
    """The problems of one file, in the form ``file: key.path: expected X, got Y``."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._lines: list[str] = []

    @property
    def count(self) -> int:
        """The number of problems so far."""
        return len(self._lines)

    def add(self, key_path: str, expected: str, got: str) -> None:
        """Add one problem. Texts of more than _SHOWN characters are cut."""
        key_path, got = (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…" for text in (key_path, got))
        self._lines.append(f"{self._where}: {key_path}: {expected}, got {got}")

    def raise_any(self) -> None:
        """Raise ConfigError with all problems, if there are any."""
        if self._lines:
            raise ConfigError(self._lines)


class Table:
    """One TOML table. Each accessor checks one key, and marks it as known.

    An accessor returns its default if the key is absent, and also, after adding a problem, if the value is invalid.
    ``problems``: where problems are added. ``given``: whether the file has this table.
    """

    def __init__(
        self, values: Any, problems: Problems, *, path: str = "", folder: Path = Path(), given: bool = True
    ) -> None:
        self.problems = problems
        self.given = given
        self._path = path
        self._folder = folder
        self._known: set[str] = set()
        self._values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        if not isinstance(values, Mapping):
            problems.add(path or "file", "expected a table", repr(values))

    def at(self, key: str) -> str:
        """Return the key's full path: ``backbones[1].precision``."""
        return f"{self._path}.{key}".strip(".")

    def keys(self) -> list[str]:
        """Return all keys, sorted, and mark them as known (names chosen by the user, such as input names)."""
        self._known |= self._values.keys()
        return sorted(self._values)

    def has_none_of(self, keys: frozenset[str]) -> bool:
        """Return whether none of these keys is present, and mark them as known."""
        self._known |= keys
        return keys.isdisjoint(self._values)

    def refuse_unknown(self, replaced: Mapping[str, str] = MappingProxyType({})) -> None:
        """Add a problem for every key that is not known; ``replaced``: for old keys, what is expected instead."""
        for key in self._values.keys() - self._known:
            expected = replaced.get(key) or f"expected one of {', '.join(sorted(self._known))}"
            self.problems.add(self.at(key), expected, f"unknown key {key!r}")

    def table(self, key: str) -> Table:
        """Return a table; if it is absent, an empty one that is not ``given``."""
        value = self._get(key)
        return Table(
            {} if value is None else value,
            self.problems,
            path=self.at(key),
            folder=self._folder,
            given=value is not None,
        )

    def tables(self, key: str) -> list[Table]:
        """Return an array of tables; [] if it is absent."""
        value = self._get(key)
        if value is not None and not isinstance(value, list):
            self.problems.add(self.at(key), f"expected an array of tables ([[{self.at(key)}]])", repr(value))
            value = None
        return [
            Table(item, self.problems, path=f"{self.at(key)}[{index}]", folder=self._folder)
            for index, item in enumerate(value or ())
        ]

    def text(self, key: str, default: _T) -> str | _T:
        """Return a non-empty string."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self.problems.add(self.at(key), "expected a non-empty string", repr(value))
            return default
        return value

    def required_text(self, key: str) -> str | None:
        """Return a non-empty string, or None after adding a problem if it is absent or invalid."""
        if self._get(key) is None:
            self.problems.add(self.at(key), "expected a non-empty string", "nothing")
        return self.text(key, None)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of non-empty strings; () if it is absent."""
        value = self._get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            self.problems.add(self.at(key), "expected an array of non-empty strings", repr(value))
            return ()
        return tuple(value)

    def path(self, key: str, default: str | None) -> Path | None:
        """Return a path below the file's folder, unless it is absolute; the same for the default."""
        value = self.text(key, default)
        if value is not None and "\0" in value:
            self.problems.add(self.at(key), "expected a path", repr(value))
            value = default
        return None if value is None else self._folder / value

    def required_path(self, key: str) -> Path | None:
        """Return a path, or None after adding a problem if it is absent or invalid."""
        if self._get(key) is None:
            self.problems.add(self.at(key), "expected a path", "nothing")
        return self.path(key, None)

    def paths(self, key: str) -> tuple[Path, ...]:
        """Return an array of paths below the file's folder, unless they are absolute; () if it is absent."""
        return tuple(self._folder / text for text in self.texts(key))

    def flag(self, key: str, default: bool) -> bool:  # noqa: FBT001 - the pair of every other accessor
        """Return true or false."""
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            self.problems.add(self.at(key), "expected true or false", repr(value))
            return default
        return default if value is None else value

    def choice(self, key: str, choices: Sequence[str], default: Any) -> Any:
        """Return one of a few strings."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, str) or value not in choices:
            self.problems.add(self.at(key), f"expected one of {', '.join(choices)}", repr(value))
            return default
        return value

    def positive(self, key: str, default: _T) -> int | _T:
        """Return a positive integer."""
        value = self._get(key)
        if value is None:
            return default
        if not _is_int(value) or not 0 < value <= _INT_MAX:
            self.problems.add(self.at(key), "expected a positive int", repr(value))
            return default
        return int(value)

    def integer(self, key: str, low: int, high: int, default: _T) -> int | _T:
        """Return an integer from ``low`` to ``high``."""
        value = self._get(key)
        if value is None:
            return default
        if not _is_int(value) or not low <= value <= high:
            self.problems.add(self.at(key), f"expected an int from {low} to {high}", repr(value))
            return default
        return int(value)

    def positive_ints(self, key: str) -> tuple[int, ...] | None:
        """Return a non-empty array of positive integers; None if it is absent or invalid."""
        value = self._get(key)
        if value is None:
            return None
        if not value or not _are_ints(value, 1, _INT_MAX):
            self.problems.add(self.at(key), "expected positive ints", repr(value))
            return None
        return tuple(value)

    def shape_values(self, key: str) -> tuple[int, ...] | None:
        """Return one bound of a shape range, or None after adding a problem if it is absent or invalid.

        The integers are dimensions or, for a shape input, values; the child checks them against the parsed network. ()
        is the shape of a scalar.
        """
        value = self._get(key)
        if value is None or not _are_ints(value, *_INT64):
            self.problems.add(self.at(key), "expected ints", "nothing" if value is None else repr(value))
            return None
        return tuple(value)

    def _get(self, key: str) -> Any:
        self._known.add(key)
        return self._values.get(key)


def _are_ints(value: Any, low: int, high: int) -> bool:
    return isinstance(value, list) and all(_is_int(item) and low <= item <= high for item in value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
