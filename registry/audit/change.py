"""A change: what every use case works with, so that its effects and its audit entries commit together or not at all."""

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
    """What an entry is about, with its name as it is at the time."""

    kind: TargetKind
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """A writing transaction, who makes it, and its one instant: that at which its turn came."""

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
            StoredValueError: where the log ends cannot be read.
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
    """A change of the store. It commits at the end or, on any error, leaves no trace.

    Raises:
        UnloggedError: something was changed and no entry says so.
    """
    with store.write() as session:
        yield Change(session, actor, store.clock())


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, in the order of ``after``, then those that are gone."""
    fields = dict.fromkeys([*after, *before])
    pairs = ((field, (before.get(field), after.get(field))) for field in fields)
    return {field: pair for field, pair in pairs if pair[0] != pair[1]}
