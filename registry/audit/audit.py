"""The audit log: what was changed, by whom, in the change's own transaction.

The entry format, the numbering and the hash chain are final: an entry's hash is the SHA-256 of its canonical JSON
text, which includes the hash of the entry before it. Anyone can check a log with nothing but this rule, see `digest`.

A row may hold anything that somebody put there by SQL. It is an entry only where writing that entry gives the row,
letter by letter; so an entry with the right hash is one whose stored text was hashed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from registry.actors import READERS, Actor, reads
from registry.audit.records import AuditEntry, AuditPage, Change, VerifyReport
from registry.catalog import arguments
from registry.catalog.arguments import KnowledgeBaseRef, ModelRef
from registry.records import FrozenDict
from registry.store.rows import contains, equals
from registry.store.store import SEARCHING, Clock, Store
from registry.store.tables import AuditRow, StoreRow

GENESIS = "0" * 64
MAX_PAGE = 500
_VERIFY_BATCH = 5000
_MOST_ENTRIES: Final = 2**63 - 1
_TEXTS: Final = ("actor", "actor_role", "actor_via", "action", "target_kind", "target_id", "target_name")
_LONGEST: Final = {name: AuditRow.__table__.c[name].type.length for name in _TEXTS}  # type: ignore[attr-defined]  # String
_COLUMNS: Final = tuple(AuditRow.__table__.c.keys())
_DEEPEST: Final = 50  # JSON within JSON: a parser that goes deeper can end the process, a page its stack
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

ACTIONS = (
    "model:create",
    "model:update",
    "model:set_status",
    "model:set_default",
    "model:clear_default",
    "model:delete",
    "model:test",
    "knowledge_base:bind",
    "knowledge_base:reassign",
    "knowledge_base:remove",
    "proxy:sync",
    "proxy:adopt",
    "keys:rotate",
)

Changes = Mapping[str, tuple[Any, Any]]


class Audit:
    """Read and check the audit log. Writing is not offered: entries come with the changes they describe."""

    def __init__(self, store: Store, actor: Actor | None = None) -> None:
        self._store = store
        self.actor = actor

    def __repr__(self) -> str:
        return f"<Audit of {self._store!r}>"

    @reads(*READERS)
    def find(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: ModelRef | KnowledgeBaseRef | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        search: str | None = None,
        limit: int = 50,
        after: int | None = None,
    ) -> AuditPage:
        """A page of entries, newest first.

        Args:
            actor: the exact name.
            action: an exact ``subject:verb``, or a subject with a colon, such as ``model:``, for all of its verbs.
            target: an id, a name as it was when the entry was written, or a record.
            since: not before this moment.
            until: before this moment.
            search: text that the target's name, the changes or the context contain, in any case for ASCII letters.
            limit: entries on the page, 1 to 500; more are cut to 500.
            after: ``next`` of the page before.

        A text that is empty filters nothing, as None does. A row that is no entry is only numbered, see `AuditPage`.

        Raises:
            InvalidInputError: an argument is unusable.
        """
        conditions = _conditions(actor, action, target, since, until, search)
        if after is not None:
            conditions.append(AuditRow.seq < arguments.whole("after", after, -_MOST_ENTRIES, _MOST_ENTRIES))
        size = min(arguments.whole("limit", limit, 1, _MOST_ENTRIES), MAX_PAGE)
        statement = select(AuditRow).where(*conditions).order_by(AuditRow.seq.desc()).limit(size + 1)
        with self._store.read(SEARCHING) as session:
            rows = session.scalars(statement).all()
        shown = {row.seq: _entry(row) for row in rows[:size]}
        return AuditPage(
            entries=tuple(entry for entry in shown.values() if entry is not None),
            next=rows[size - 1].seq if len(rows) > size else None,
            unreadable=tuple(seq for seq, entry in shown.items() if entry is None),
        )

    @reads(*READERS)
    def actors(self) -> list[str]:
        """The names of all who ever acted, in order; what cannot be read is left out."""
        with self._store.read(SEARCHING) as session:
            return list(filter(None, session.scalars(select(AuditRow.actor).distinct().order_by(AuditRow.actor))))

    @reads(*READERS)
    def verify(self) -> VerifyReport:
        """Check every entry's hash, its link to the one before, the numbering, and that the last one is still there."""
        with self._store.read(SEARCHING) as session:
            statement = select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=_VERIFY_BATCH)
            checked, head = 0, GENESIS
            with session.scalars(statement) as rows:  # a fault ends the reading early: the server's cursor is closed
                for row in rows:
                    reason = _fault(row, checked + 1, head)
                    if reason:
                        return VerifyReport(False, checked, min(checked + 1, row.seq), reason, head)
                    checked, head = row.seq, row.hash
            end = select(StoreRow.id).where(StoreRow.audit_seq == checked, StoreRow.audit_hash == head)
            if session.scalars(end).one_or_none() is None:
                reason = "The newest entries are missing, or others were put in behind them."
                return VerifyReport(False, checked, checked + 1, reason, head)
        return VerifyReport(True, checked, head=head)


def append(
    session: Session,
    clock: Clock,
    actor: Actor,
    action: str,
    target: tuple[str, str, str],
    changes: Changes,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry inside the caller's writing transaction.

    Args:
        target: kind, id and name of what was changed.
        changes: field → (before, after). Secrets must come as words such as ``"set"``, never as values.

    Raises:
        StoredValueError: where the log ends cannot be read.
        TypeError, ValueError: the entry cannot be written, as when it nests deeper than 50 levels.
    """
    head = session.scalars(select(StoreRow)).one()
    at, kind, id, name = clock(), *target
    texts = (actor.name, actor.role.value, actor.via, action, kind, id, name)
    text = _canonical(
        _hashed(
            head.audit_seq + 1,
            at,
            {column: _storable(column, value) for column, value in zip(_TEXTS, texts, strict=True)},
            {field: list(pair) for field, pair in changes.items()},
            context or {},
            head.audit_hash,
        )
    )
    entry = _parsed(text)  # what is stored and hashed is what JSON made of it
    row = AuditRow(
        seq=entry["seq"],
        at=at,
        **{column: entry[column] for column in _TEXTS},
        changes=_canonical(entry["changes"]),
        context=_canonical(entry["context"]),
        prev_hash=entry["prev_hash"],
        hash=_sha256(_canonical(entry)),
    )
    head.audit_seq, head.audit_hash = row.seq, row.hash
    session.add(row)
    session.flush()


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, in the order of ``after``, then those that are gone."""
    fields = dict.fromkeys([*after, *before])
    pairs = ((field, (before.get(field), after.get(field))) for field in fields)
    return {field: pair for field, pair in pairs if pair[0] != pair[1]}


def digest(entry: AuditEntry) -> str:
    """The hash of an entry: SHA-256 over its canonical JSON (sorted keys, no spaces, UTF-8), without ``hash`` itself.

    The fields are those of `AuditEntry`; ``at`` is ISO 8601 in UTC with microseconds and ``Z``, ``changes`` and
    ``context`` are JSON objects, ``changes`` as ``{field: [before, after]}``, and ``format`` is 1.
    """
    texts = {column: getattr(entry, column) for column in _TEXTS}
    return _sha256(
        _canonical(_hashed(entry.seq, entry.at, texts, _pairs(entry.changes), entry.context, entry.prev_hash))
    )


def _hashed(
    seq: int,
    at: datetime,
    texts: Mapping[str, str],
    changes: Mapping[str, Any],
    context: Mapping[str, Any],
    prev_hash: str,
) -> dict[str, Any]:
    return {
        "format": 1,
        "seq": seq,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **texts,
        "changes": changes,
        "context": context,
        "prev_hash": prev_hash,
    }


def _storable(column: str, value: str) -> str:
    """The text as both stores keep it: PostgreSQL knows no NUL, neither knows lone surrogates, columns have a length.

    Raises:
        TypeError: it is no text. What a column would turn into text later is not what was hashed.
    """
    if not isinstance(value, str):
        raise TypeError(f"{column} of an audit entry must be text, not {type(value).__name__}")
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[: _LONGEST[column]]


def _canonical(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object that the text is.

    Raises:
        ValueError: it is none, or nests too deep.
    """
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(text):
        raise ValueError("JSON nests too deep")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _is_too_deep(text: str) -> bool:
    """Whether JSON nests deeper than a parser should follow, told without one."""
    steps = ((each in "[{") - (each in "]}") for each in _STRING.sub("", text))
    return any(level > _DEEPEST for level in accumulate(steps))


def _pairs(changes: Iterable[Change]) -> dict[str, Any]:
    return {change.field: [change.before, change.after] for change in changes}


def _fault(row: AuditRow, expected: int, previous: str) -> str:
    if row.seq > expected:
        return f"Entry {expected} is missing."
    if row.seq < expected:
        return f"Entry {row.seq} was put in."
    entry = _entry(row)
    if entry is None or digest(entry) != entry.hash:
        return f"Entry {row.seq} was altered."
    return "" if entry.prev_hash == previous else f"Entry {row.seq} does not follow the entry before it."


def _entry(row: AuditRow) -> AuditEntry | None:
    """The entry of a row; None where writing it would not give the same text in each column."""
    values = {column: getattr(row, column) for column in _COLUMNS}
    if None in values.values():
        return None
    try:
        changes = tuple(Change(field, before, after) for field, (before, after) in _parsed(row.changes).items())
        context = FrozenDict(_parsed(row.context))
        if (_canonical(_pairs(changes)), _canonical(context)) != (row.changes, row.context):
            return None
    except (TypeError, ValueError):
        return None
    return AuditEntry(**{**values, "changes": changes, "context": context})


def _conditions(
    actor: str | None,
    action: str | None,
    target: ModelRef | KnowledgeBaseRef | None,
    since: datetime | None,
    until: datetime | None,
    search: str | None,
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if name := arguments.wanted("actor", actor):
        conditions.append(equals(AuditRow.actor, name))
    if verb := arguments.wanted("action", action):
        by_subject = AuditRow.action.startswith(verb, autoescape=True)
        conditions.append(by_subject if _is_subject(verb) else equals(AuditRow.action, verb))
    if about := arguments.target("target", target):
        conditions.append(or_(equals(AuditRow.target_id, about), equals(AuditRow.target_name, about)))
    if first := arguments.moment("since", since):
        conditions.append(AuditRow.at >= first)
    if end := arguments.moment("until", until):
        conditions.append(AuditRow.at < end)
    if needle := arguments.wanted("search", search):
        conditions.append(
            or_(*(contains(column, needle) for column in (AuditRow.target_name, AuditRow.changes, AuditRow.context)))
        )
    return conditions


def _is_subject(action: str) -> bool:
    return action.endswith(":") and arguments.findable(action)
