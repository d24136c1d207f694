"""The audit log: what was changed, by whom, in the change's own transaction.

The entry format, the numbering and the hash chain are final: an entry's hash is the SHA-256 of its canonical JSON
text, which includes the hash of the entry before it. Anyone can check a log with nothing but this rule, see `digest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from registry.actors import READERS, Actor, reads
from registry.errors import InvalidModelError
from registry.queries import storable
from registry.records import AuditEntry, AuditPage, Change, FrozenDict, VerifyReport
from registry.store import Clock, Store
from registry.tables import AuditRow, StoreRow

GENESIS = "0" * 64
MAX_PAGE = 500
_VERIFY_BATCH = 5000

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
        target: str | None = None,
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
            target: an id, or a name as it was when the entry was written.
            since: not before this moment.
            until: before this moment.
            search: text that the target's name, the changes or the context contain, in any case for ASCII letters.
            limit: entries on the page, at most 500.
            after: ``next`` of the page before.
        """
        conditions = _conditions(actor, action, target, since, until, search)
        if after is not None:
            conditions.append(AuditRow.seq < after)
        size = max(1, min(limit, MAX_PAGE))
        statement = select(AuditRow).where(*conditions).order_by(AuditRow.seq.desc()).limit(size + 1)
        with self._store.read() as session:
            rows = session.scalars(statement).all()
        entries = tuple(_entry(row) for row in rows[:size])
        return AuditPage(entries, entries[-1].seq if len(rows) > size else None)

    @reads(*READERS)
    def actors(self) -> list[str]:
        """The names of all who ever acted, in order."""
        with self._store.read() as session:
            return list(session.scalars(select(AuditRow.actor).distinct().order_by(AuditRow.actor)))

    @reads(*READERS)
    def verify(self) -> VerifyReport:
        """Check every entry's hash, its link to the one before, the numbering, and that the last one is still there."""
        with self._store.read() as session:
            head = session.scalars(select(StoreRow)).one()
            statement = select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=_VERIFY_BATCH)
            expected, previous = 1, GENESIS
            with session.scalars(statement) as rows:  # a fault ends the reading early: the server's cursor is closed
                for row in rows:
                    reason = _fault(row, expected, previous)
                    if reason:
                        return VerifyReport(False, expected - 1, expected, reason)
                    expected, previous = expected + 1, row.hash
            if (head.audit_seq, head.audit_hash) != (expected - 1, previous):
                return VerifyReport(False, expected - 1, expected, "The newest entries are missing.")
        return VerifyReport(True, expected - 1)


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
    """
    head = session.scalars(select(StoreRow)).one()
    row = AuditRow(
        seq=head.audit_seq + 1,
        at=clock(),
        actor=actor.name,
        actor_role=actor.role.value,
        actor_via=actor.via,
        action=action,
        target_kind=target[0],
        target_id=target[1],
        target_name=target[2],
        changes=_canonical({field: list(pair) for field, pair in changes.items()}),
        context=_canonical(context or {}),
        prev_hash=head.audit_hash,
    )
    row.hash = digest(row)
    head.audit_seq, head.audit_hash = row.seq, row.hash
    session.add(row)
    session.flush()


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, in the order of ``after``, then those that are gone."""
    fields = dict.fromkeys([*after, *before])
    pairs = ((field, (before.get(field), after.get(field))) for field in fields)
    return {field: pair for field, pair in pairs if pair[0] != pair[1]}


def digest(row: AuditRow | AuditEntry) -> str:
    """The hash of an entry: SHA-256 over its canonical JSON (sorted keys, no spaces, UTF-8), without ``hash`` itself.

    The fields are those of `AuditEntry`; ``at`` is ISO 8601 in UTC with microseconds and ``Z``, ``changes`` and
    ``context`` are JSON objects, ``changes`` as ``{field: [before, after]}``, and ``format`` is 1.
    """
    if isinstance(row, AuditEntry):
        changes: Any = {change.field: [change.before, change.after] for change in row.changes}
        context: Any = dict(row.context)
    else:
        changes, context = json.loads(row.changes), json.loads(row.context)
    entry = {
        "format": 1,
        "seq": row.seq,
        "at": row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor": row.actor,
        "actor_role": row.actor_role,
        "actor_via": row.actor_via,
        "action": row.action,
        "target_kind": row.target_kind,
        "target_id": row.target_id,
        "target_name": row.target_name,
        "changes": changes,
        "context": context,
        "prev_hash": row.prev_hash,
    }
    return hashlib.sha256(_canonical(entry).encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _fault(row: AuditRow, expected: int, previous: str) -> str:
    if row.seq != expected:
        return f"Entry {expected} is missing."
    if row.prev_hash != previous:
        return f"Entry {row.seq} does not follow the entry before it."
    try:
        intact = digest(row) == row.hash
    except ValueError:
        intact = False
    return "" if intact else f"Entry {row.seq} was altered."


def _entry(row: AuditRow) -> AuditEntry:
    changes = json.loads(row.changes)
    return AuditEntry(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        actor_role=row.actor_role,
        actor_via=row.actor_via,
        action=row.action,
        target_kind=row.target_kind,
        target_id=row.target_id,
        target_name=row.target_name,
        changes=tuple(Change(field, before, after) for field, (before, after) in changes.items()),
        context=FrozenDict(json.loads(row.context)),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def _conditions(
    actor: str | None,
    action: str | None,
    target: str | None,
    since: datetime | None,
    until: datetime | None,
    search: str | None,
) -> list[ColumnElement[bool]]:
    actor, action, target, search = (storable(text or "") for text in (actor, action, target, search))
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidModelError({name: "Give the time with its time zone."})
    conditions: list[ColumnElement[bool]] = []
    if actor:
        conditions.append(AuditRow.actor == actor)
    if action:
        by_subject = AuditRow.action.startswith(action, autoescape=True)
        conditions.append(by_subject if action.endswith(":") else AuditRow.action == action)
    if target:
        conditions.append(or_(AuditRow.target_id == target, AuditRow.target_name == target))
    if since:
        conditions.append(AuditRow.at >= since)
    if until:
        conditions.append(AuditRow.at < until)
    if search.strip():
        conditions.append(_contains(search.strip()))
    return conditions


def _contains(needle: str) -> ColumnElement[bool]:
    columns: Iterable[Any] = (AuditRow.target_name, AuditRow.changes, AuditRow.context)
    return or_(*(column.icontains(needle, autoescape=True) for column in columns))
