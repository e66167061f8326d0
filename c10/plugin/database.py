"""doit's database, as one that can be lost.

Engines are reused for what lies on disk; the database only spares work. So what cannot be read is told in a
sentence, and what cannot be written is not an error.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from doit.dependency import DatabaseException, SqliteDB
from doit.exceptions import InvalidCommand

from c10.console import events


class EngineDatabase(SqliteDB):  # type: ignore[misc] # doit is untyped
    """doit's SQLite backend (the one that survives two runs at once), with messages instead of tracebacks."""

    desc = "sqlite3 database; says what to do where it is damaged"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self._rows: dict[str, Any] | None = None
        try:
            super().__init__(name, codec, module_name=module_name)
            self._conn.execute("select count(*) from doit").fetchone()
        except (DatabaseException, sqlite3.Error, ValueError) as error:  # ValueError: text that is no UTF-8
            if _is_not_writable(error):
                self._use_memory(name, codec, error)
                return
            raise _damaged(name, error) from error

    def dump(self) -> None:
        """Write what changed; where that fails the next run looks again, at the engines themselves."""
        try:
            super().dump()
        except sqlite3.Error as error:
            _warn(self.name, error)

    def remove(self, task_id: str) -> None:
        """Forget one task, as doit does where one fails; a database that may only be read forgets nothing."""
        try:
            super().remove(task_id)
        except sqlite3.Error as error:
            _warn(self.name, error)
        if self._rows is not None:
            self._rows.pop(task_id, None)

    def remove_all(self) -> None:
        """Forget all tasks."""
        super().remove_all()
        self._rows = {}

    def _use_memory(self, name: str, codec: Any, error: Exception) -> None:
        _warn(name, error)
        super().__init__(":memory:", codec)

    def _get_task_data(self, task_id: str) -> dict[str, Any]:
        try:
            if self._rows is None:
                self._rows = self._read_rows()
            data = self.codec.decode(self._rows.pop(task_id, b"{}").decode())
        except (AttributeError, ValueError):  # a row that is no JSON: as good as none
            return {}
        except sqlite3.DatabaseError as error:
            raise _damaged(self.name, error) from error
        return data if _is_task_data(data) else {}

    def _read_rows(self) -> dict[str, Any]:
        """Read the table in one go: doit asks for one task after the other, a statement each."""
        found = self._conn.execute("select task_id, cast(task_data as blob) as task_data from doit")
        return {row["task_id"]: row["task_data"] for row in found}


def _is_task_data(data: Any) -> bool:
    """Whether a row is what doit and c10 write: values by name, dependencies in a list, two things a file."""
    if not isinstance(data, dict) or not isinstance(data.get("_values_:", {}), dict):
        return False
    files = data.get("deps:", [])
    known = isinstance(files, list) and all(isinstance(file, str) for file in files)
    return known and all(_is_file_state(state) for key, state in data.items() if not key.endswith(":"))


def _is_file_state(state: Any) -> bool:
    return isinstance(state, list) and len(state) == 2 and isinstance(state[1], list)  # noqa: PLR2004 - SHA-256, stamp


def _is_not_writable(error: Exception) -> bool:
    return any(words in str(error) for words in ("unable to open", "readonly", "locked"))


def _damaged(name: str, error: Exception) -> InvalidCommand:
    return InvalidCommand(
        f"{name}: expected doit's database, got a file that is damaged or of another kind ({_first_line(error)}).\n"
        f"Remove it and run again: rm {name}\n"
        "No engine is lost or rebuilt for it: c10 proves engines from what lies beside them."
    )


def _warn(name: str, error: Exception) -> None:
    events.configure_logging()  # doit opens its database before it asks for tasks
    events.database_unwritable(name, _first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).partition("Original error: ")[2] or str(error).partition("\n")[0]
