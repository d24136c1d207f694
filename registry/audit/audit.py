"""The audit log, as ``registry.audit``: what was changed, by whom, and whether an entry was altered since."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, or_, select

from registry.actors import READERS, Actor, reads
from registry.audit import chain
from registry.audit.records import AuditPage, VerifyReport
from registry.catalog import arguments
from registry.catalog.arguments import KnowledgeBaseRef, ModelRef
from registry.store.rows import contains, equals
from registry.store.store import SEARCHING, Store
from registry.store.tables import AuditRow, StoreRow

MAX_PAGE = 500
_VERIFY_BATCH = 5000
_MOST_ENTRIES: Final = 2**63 - 1


class Audit:
    """Reads and checks the audit log. It cannot write: each change writes its own entries."""

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
            target: an id, the name at the time of the entry, or a record.
            since: not before this moment.
            until: before this moment.
            search: text that the target's name, the changes or the context contain, ignoring the case of ASCII letters.
            limit: entries on the page, 1 to 500; larger numbers count as 500.
            after: ``next`` of the previous page.

        An empty text filters nothing, as None does. Of a row that is not an entry only the number is returned, see
        `AuditPage`.

        Raises:
            InvalidInputError: an argument is invalid.
        """
        conditions = _conditions(actor, action, target, since, until, search)
        if after is not None:
            conditions.append(AuditRow.seq < arguments.whole("after", after, -_MOST_ENTRIES, _MOST_ENTRIES))
        size = min(arguments.whole("limit", limit, 1, _MOST_ENTRIES), MAX_PAGE)
        statement = select(AuditRow).where(*conditions).order_by(AuditRow.seq.desc()).limit(size + 1)
        with self._store.read(SEARCHING) as session:
            rows = session.scalars(statement).all()
        shown = {row.seq: chain.entry_of(row) for row in rows[:size]}
        return AuditPage(
            entries=tuple(entry for entry in shown.values() if entry is not None),
            next=rows[size - 1].seq if len(rows) > size else None,
            unreadable=tuple(seq for seq, entry in shown.items() if entry is None),
        )

    @reads(*READERS)
    def actors(self) -> list[str]:
        """The names of all actors in the log, sorted; unreadable ones are left out."""
        with self._store.read(SEARCHING) as session:
            return list(filter(None, session.scalars(select(AuditRow.actor).distinct().order_by(AuditRow.actor))))

    @reads(*READERS)
    def verify(self) -> VerifyReport:
        """Check every entry's hash, its link to the previous one, the numbering, and that the last one is present."""
        with self._store.read(SEARCHING) as session:
            statement = select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=_VERIFY_BATCH)
            checked, head = 0, chain.GENESIS
            with session.scalars(statement) as rows:  # closes the server's cursor if a fault ends the reading early
                for row in rows:
                    reason = chain.fault(row, checked + 1, head)
                    if reason:
                        return VerifyReport(False, checked, min(checked + 1, row.seq), reason, head)
                    checked, head = row.seq, row.hash
            end = select(StoreRow.id).where(StoreRow.audit_seq == checked, StoreRow.audit_hash == head)
            if session.scalars(end).one_or_none() is None:
                reason = "The newest entries are missing, or others were inserted after them."
                return VerifyReport(False, checked, checked + 1, reason, head)
        return VerifyReport(True, checked, head=head)


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
