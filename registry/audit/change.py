"""A change: the transaction of a use case, in which its effects and its audit entries commit together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.actors import Actor
from registry.audit import chain
from registry.audit.chain import Changes
from registry.audit.records import Action, TargetKind
from registry.store.store import Store
from registry.store.tables import StoreRow


@dataclass(frozen=True, slots=True)
class Target:
    """The object of an entry, with its current name."""

    kind: TargetKind
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """A writing transaction, its actor, and its time: the moment at which it got the write lock."""

    session: Session
    actor: Actor
    at: datetime

    def log(
        self,
        action: Action,
        target: Target,
        changes: Changes | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an entry to the audit log.

        Args:
            changes: field → (before, after). Secrets must come as words such as ``"set"``, never as values.

        Raises:
            StoredValueError: the store's row, which names the end of the log, cannot be read.
            TypeError, ValueError: the entry cannot be written, as when it nests deeper than 50 levels.
        """
        head = self.session.scalars(select(StoreRow)).one()
        actor = {"actor": self.actor.name, "actor_role": self.actor.role.value, "actor_via": self.actor.via}
        about = {"target_kind": target.kind, "target_id": target.id, "target_name": target.name}
        texts = {**actor, "action": action, **about}
        row = chain.written(head.audit_seq + 1, self.at, texts, changes or {}, context or {}, head.audit_hash)
        head.audit_seq, head.audit_hash = row.seq, row.hash
        self.session.add(row)
        self.session.flush()


@contextmanager
def changing(store: Store, actor: Actor) -> Iterator[Change]:
    """A change of the store. It commits at the end, and is rolled back on any error.

    Raises:
        UnloggedError: something was changed without an entry.
    """
    with store.write() as session:
        yield Change(session, actor, store.clock())


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, in the order of ``after``, then the removed ones."""
    fields = dict.fromkeys([*after, *before])
    pairs = ((field, (before.get(field), after.get(field))) for field in fields)
    return {field: pair for field, pair in pairs if pair[0] != pair[1]}
