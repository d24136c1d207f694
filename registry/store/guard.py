"""Checks what a transaction writes: changes need an audit entry, notes are limited to certain tables and columns.

The check sees the SQL statements that reach the database, so it covers all code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, event

from registry.store.tables import AuditRow, BindingRow, DefaultRow, KnowledgeBaseRow, ModelRow, ModelStateRow, StoreRow

LOGGED: Final = frozenset(row.__tablename__ for row in (ModelRow, DefaultRow, KnowledgeBaseRow, BindingRow))
"""Tables whose changes need an audit entry."""
NOTED: Final[Mapping[str, frozenset[str] | None]] = {
    ModelStateRow.__tablename__: None,
    StoreRow.__tablename__: frozenset({"secret", "secret_key_id"}),
    ModelRow.__tablename__: frozenset({"api_key", "api_key_id"}),
}
"""Table → columns that can be updated without an audit entry; None: all writes to the table."""

_WRITE: Final = re.compile(
    r'\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)"?(?:\s+SET\s+(.*?)(?:\s+WHERE\s|$))?', re.DOTALL | re.IGNORECASE
)
_COLUMN: Final = re.compile(r'"?(\w+)"?\s*=')


class UnloggedError(RuntimeError):
    """The registry's code wrote something without its audit entry: a bug. Nothing was saved."""


class Changes:
    """Records the tables that a transaction writes. Call ``require_entry`` before its commit."""

    def __init__(self, connection: Connection) -> None:
        self._written: set[str] = set()
        event.listen(connection, "before_cursor_execute", self._see)

    def _see(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if found := _WRITE.match(statement):
            self._written.add(found[2].lower())

    def require_entry(self) -> None:
        """Check that an audit entry was written if a table of `LOGGED` was.

        Raises:
            UnloggedError: there is no entry.
        """
        unlogged = sorted(LOGGED & self._written)
        if unlogged and AuditRow.__tablename__ not in self._written:
            raise UnloggedError(f"{', '.join(unlogged)} changed without an audit entry.")


def refuse_changes(connection: Connection) -> None:
    """Limit a transaction's writes to `NOTED`: every other writing statement raises UnloggedError."""

    def look(_connection: Connection, _cursor: object, statement: str, *_: Any) -> None:
        if (found := _WRITE.match(statement)) and not _is_note(*found.groups(default="")):
            raise UnloggedError(f"{found[1]} {found[2]} is a change, and needs an audit entry.")

    event.listen(connection, "before_cursor_execute", look)


def _is_note(verb: str, table: str, assignments: str) -> bool:
    columns: Collection[str] | None = NOTED.get(table.lower(), ())
    if columns is None:
        return True
    return verb.upper() == "UPDATE" and {name.lower() for name in _COLUMN.findall(assignments)} <= set(columns)
