"""Checks what a transaction writes: changes need an audit entry, notes are limited to certain tables and columns.

The check reads the SQL of every statement of the transaction's connection, whoever wrote it. It is made against
forgetting, not against intent: what goes past SQLAlchemy, or over another connection, is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

_NOISE: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_VERB: Final = re.compile(
    r"\b(INSERT|UPDATE|DELETE|REPLACE\s+INTO|MERGE|TRUNCATE|COPY|DROP|ALTER|CREATE)\b", re.IGNORECASE
)
_ENTRY: Final = re.compile(rf'\s*INSERT\s+INTO\s+"?{AuditRow.__tablename__}"?[\s(]', re.IGNORECASE)
_WHOLE: Final = re.compile(r'\s*(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+"?(\w+)"?(?=[\s(]|$)', re.IGNORECASE)
_UPDATE: Final = re.compile(r'\s*UPDATE\s+"?(\w+)"?\s+SET\s+(.*?)(?:\s+WHERE\s.*)?', re.DOTALL | re.IGNORECASE)
_ASSIGNMENT: Final = re.compile(r'\s*"?(\w+)"?\s*=\s*(?:%\(\w+\)s(?:::\w+)?|\?|:\w+|"?\w+"?)\s*')


class UnloggedError(RuntimeError):
    """The registry's code wrote something without its audit entry: a bug. Nothing was saved."""


class Changes:
    """Records the tables that a transaction writes. Call ``require_entry`` before its commit."""

    def __init__(self, connection: Connection) -> None:
        self._written: set[str] = set()
        self._has_entry = False
        event.listen(connection, "before_cursor_execute", self._see)

    def _see(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        text = _NOISE.sub(" ", statement)
        if _ENTRY.match(text):
            self._has_entry = True
        elif _VERB.search(text):  # each of its words, since it can write a table in many forms
            self._written |= {word.lower() for word in re.findall(r"\w+", statement)} & LOGGED

    def require_entry(self) -> None:
        """Check that an audit entry was written if a table of `LOGGED` was; then begin again.

        Raises:
            UnloggedError: there is no entry.
        """
        if self._written and not self._has_entry:
            raise UnloggedError(f"{', '.join(sorted(self._written))} changed without an audit entry.")
        self._written, self._has_entry = set(), False


def refuse_changes(connection: Connection) -> None:
    """Limit a transaction's writes to `NOTED`, in their plain form: every other one raises UnloggedError."""

    def look(_connection: Connection, _cursor: object, statement: str, *_: Any) -> None:
        text = _NOISE.sub(" ", statement)
        verbs = _VERB.findall(text)
        if verbs and not (len(verbs) == 1 and _is_note(text)):
            raise UnloggedError(f"{' '.join(text.split()[:3])} … is a change, and needs an audit entry.")

    event.listen(connection, "before_cursor_execute", look)


def _is_note(text: str) -> bool:
    whole, update = _WHOLE.match(text), _UPDATE.fullmatch(text)
    if whole and NOTED.get(whole[1].lower(), ()) is None:
        return True
    if update is None:
        return False
    allowed = NOTED.get(update[1].lower()) or frozenset()
    columns = [_ASSIGNMENT.fullmatch(each) for each in update[2].split(",")]
    return all(column is not None and column[1].lower() in allowed for column in columns)
