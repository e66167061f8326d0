"""doit's database, as one that can be lost. May import doit.

Engines are reused for what lies on disk; the database only spares work. So what cannot be read is told in a
sentence, and what cannot be written is not an error.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from doit.dependency import DatabaseException, SqliteDB
from doit.exceptions import InvalidCommand


class EngineDatabase(SqliteDB):  # type: ignore[misc] # doit is untyped
    """doit's SQLite backend (the one that survives two runs at once), with messages instead of tracebacks."""

    desc = "sqlite3 database; says what to do where it is damaged"

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        try:
            super().__init__(name, codec, module_name=module_name)
            self._conn.execute("select count(*) from doit").fetchone()
        except (DatabaseException, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and _is_not_writable(error):
                self._use_memory(name, codec, error)
                return
            raise _damaged(name, error) from error

    def dump(self) -> None:
        """Write what changed; where that fails the next run looks again, at the engines themselves."""
        try:
            super().dump()
        except sqlite3.Error as error:
            _warn(self.name, error)

    def _use_memory(self, name: str, codec: Any, error: sqlite3.Error) -> None:
        _warn(name, error)
        super().__init__(":memory:", codec)

    def _get_task_data(self, task_id: str) -> dict[str, Any]:
        try:
            data = super()._get_task_data(task_id)
        except ValueError:  # a row that is no JSON: as good as none
            return {}
        except sqlite3.DatabaseError as error:
            raise _damaged(self.name, error) from error
        return data if isinstance(data, dict) else {}


def _is_not_writable(error: sqlite3.Error) -> bool:
    return any(words in str(error) for words in ("unable to open", "readonly", "locked"))


def _damaged(name: str, error: Exception) -> InvalidCommand:
    return InvalidCommand(
        f"{name}: expected doit's database, got a file that is damaged or of another kind ({_first_line(error)}).\n"
        f"Remove it and run again: rm {name}\n"
        "No engine is lost or rebuilt for it: c10 proves engines from what lies beside them."
    )


def _warn(name: str, error: Exception) -> None:
    logging.getLogger("c10").warning(
        "c10.database.unwritable %s: doit's database is not written (%s); engines are not affected",
        name,
        _first_line(error),
        extra={"event": "c10.database.unwritable"},
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("Original error: ")[2] or str(error).partition("\n")[0]
