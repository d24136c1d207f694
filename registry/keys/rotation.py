"""Rotation: what another key of the ring encrypted is encrypted anew with the first, while everything keeps running.

All is read at once, in the order in which it lies on the disk. A batch is encrypted without a lock, and written only
where the ciphertext is still the one that was read, so an edit in between is kept. The column that names the key tells
what is left to do after a kill. The last batch commits together with the audit entry: as long as there is no entry,
there is something left, and the next run writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select, update
from sqlalchemy.orm import Session

from registry.actors import Actor
from registry.audit.change import Change, Target, changing
from registry.audit.records import Action, TargetKind
from registry.errors import DecryptionError
from registry.keys.keyring import Keyring
from registry.keys.records import KeyUse, RotationReport
from registry.keys.vault import Vault
from registry.store.store import Store
from registry.store.tables import Base, ModelRow, StoreRow

BATCH = 1000

Progress = Callable[[int, int], None]
Stored = Row[str, str, str | None]

_MODELS = Base.metadata.tables[ModelRow.__tablename__]
_REPLACE = (
    update(_MODELS)
    .where(_MODELS.c.id == bindparam("model"), _MODELS.c.api_key == bindparam("old"))
    .values(api_key=bindparam("new"), api_key_id=bindparam("new_id"))
)


def rotate(store: Store, vault: Vault, actor: Actor, progress: Progress | None = None) -> RotationReport:
    """Encrypt anew whatever is not encrypted with the first key: see `registry.client.Registry.rotate_keys`."""
    keyring = vault.keyring
    with store.read() as session:
        vault.secret(session)
        current = _counts(session).get(keyring.key_id, 0)
        rows = session.execute(_outdated(keyring)).all()
    rotated = 0
    for start in range(0, max(len(rows), 1), BATCH):
        batch = rows[start : start + BATCH]
        done = start + len(batch)
        anew = _encrypted_anew(keyring, batch)
        if done < len(rows):
            with store.note() as session:
                rotated += _replace(session, anew)
        else:
            with changing(store, actor) as change:
                rotated += _replace(change.session, anew)
                report = _finish(change, keyring, rotated, current)
        if progress is not None and batch:
            progress(done, len(rows))
    return report


def uses(store: Store, vault: Vault) -> tuple[KeyUse, ...]:
    """What each key made: those of the ring in its order, then those that it does not hold."""
    with store.read() as session:
        counts = _counts(session)
        secret = session.scalars(select(StoreRow.secret_key_id)).one()
    ring = vault.key_ids
    foreign = sorted({*counts, *([secret] if secret else [])} - {*ring})
    places = {key_id: place for place, key_id in enumerate(ring, start=1)}
    return tuple(
        KeyUse(key_id=id, position=places.get(id), api_keys=counts.get(id, 0), store_secret=id == secret)
        for id in (*ring, *foreign)
    )


def _finish(change: Change, keyring: Keyring, rotated: int, current: int) -> RotationReport:
    """Inside the transaction of the last batch: take what was saved with another key since, the secret, the entry."""
    session = change.session
    rows = session.execute(_outdated(keyring)).all()
    anew = _encrypted_anew(keyring, rows)
    rotated += _replace(session, anew)
    opened = {each["model"] for each in anew}
    unreadable = tuple(row.name for row in rows if row.id not in opened)
    head = session.scalars(select(StoreRow)).one()
    is_behind = head.secret_key_id != keyring.key_id
    if is_behind:
        head.secret, head.secret_key_id = keyring.rotate(head.secret or ""), keyring.key_id
    if rotated or unreadable or is_behind:
        context = {"key_id": keyring.key_id, "rotated": rotated, "unreadable": len(unreadable)}
        target = Target(TargetKind.REGISTRY, head.registry_id, "encryption keys")
        change.log(Action.KEYS_ROTATE, target, context=context)
    return RotationReport(keyring.key_id, rotated=rotated, already_current=current, unreadable=unreadable)


def _counts(session: Session) -> dict[str, int]:
    """How many API keys each encryption key made."""
    statement = (
        select(ModelRow.api_key_id, func.count()).where(ModelRow.api_key_id.is_not(None)).group_by(ModelRow.api_key_id)
    )
    return {str(key_id): number for key_id, number in session.execute(statement)}


def _outdated(keyring: Keyring) -> Select[str, str, str | None]:
    columns = (ModelRow.id, ModelRow.name, ModelRow.api_key)
    return select(*columns).where(ModelRow.api_key_id != keyring.key_id)


def _encrypted_anew(keyring: Keyring, rows: Sequence[Stored]) -> list[dict[str, Any]]:
    """Parameters of `_REPLACE`, without the rows that no key opens."""
    anew = []
    for model, _, old in rows:
        try:
            new = keyring.rotate(old or "")
        except DecryptionError:
            continue
        anew.append({"model": model, "old": old, "new": new, "new_id": keyring.key_id})
    return anew


def _replace(session: Session, anew: Sequence[dict[str, Any]]) -> int:
    """Write those whose ciphertext is still the one that was read, and say how many they were."""
    if not anew:
        return 0
    return session.connection().execute(_REPLACE, anew).rowcount
