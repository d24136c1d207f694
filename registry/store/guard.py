"""What a writing transaction may write: a change is logged, and what is no change touches nothing else.

Looked at where statements reach the database, so that it makes no difference what wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, event

from registry.store.tables import AuditRow, BindingRow, DefaultRow, KnowledgeBaseRow, ModelRow, ModelStateRow, StoreRow

LOGGED: Final = frozenset(row.__tablename__ for row in (ModelRow, DefaultRow, KnowledgeBaseRow, BindingRow))
"""Tables whose changes the audit log tells."""
NOTED: Final[Mapping[str, frozenset[str] | None]] = {
    ModelStateRow.__tablename__: None,
    StoreRow.__tablename__: frozenset({"secret", "secret_key_id"}),
    ModelRow.__tablename__: frozenset({"api_key", "api_key_id"}),
}
"""What is written without an entry: the columns of a table that may be updated, None for whatever is in it."""

_WRITE: Final = re.compile(
    r'\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)"?(?:\s+SET\s+(.*?)(?:\s+WHERE\s|$))?', re.DOTALL | re.IGNORECASE
)
_COLUMN: Final = re.compile(r'"?(\w+)"?\s*=')


class UnloggedError(RuntimeError):
    """The code of the registry wrote something without the audit entry that belongs to it. Nothing was saved."""


class Changes:
    """Sees what a transaction writes; ``require_entry`` stands before its commit."""

    def __init__(self, connection: Connection) -> None:
        self._written: set[str] = set()
        event.listen(connection, "before_cursor_execute", self._see)

    def _see(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if found := _WRITE.match(statement):
            self._written.add(found[2].lower())

    def require_entry(self) -> None:
        """Make sure that the audit log tells of what was written.

        Raises:
            UnloggedError: it does not.
        """
        unlogged = sorted(LOGGED & self._written)
        if unlogged and AuditRow.__tablename__ not in self._written:
            raise UnloggedError(f"{', '.join(unlogged)} changed without an audit entry.")


def refuse_changes(connection: Connection) -> None:
    """Let a transaction write nothing but what is no change, see `NOTED`: whatever else it writes is refused.

    Its statements raise UnloggedError.
    """

    def look(_connection: Connection, _cursor: object, statement: str, *_: Any) -> None:
        if (found := _WRITE.match(statement)) and not _is_note(*found.groups(default="")):
            raise UnloggedError(f"{found[1]} {found[2]} is a change, and needs an audit entry.")

    event.listen(connection, "before_cursor_execute", look)


def _is_note(verb: str, table: str, assignments: str) -> bool:
    columns: Collection[str] | None = NOTED.get(table.lower(), ())
    if columns is None:
        return True
    return verb.upper() == "UPDATE" and {name.lower() for name in _COLUMN.findall(assignments)} <= set(columns)
