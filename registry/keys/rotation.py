"""Re-encrypts stored API keys with the first key, without downtime.

All rows are read at once, in the order on disk. A batch is encrypted without a lock, and each ciphertext replaced only
if it is still the one that was read, so concurrent edits are kept. After a kill, the column that names the key shows
what is left to do. The last batch commits together with the audit entry: while there is no entry, something is left,
and the next run writes the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from registry.store.tables import Base, ModelRow, StoreRow, Unreadable

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
    """Re-encrypt what is not encrypted with the first key: see `registry.client.Registry.rotate_keys`."""
    keyring = vault.keyring
    with store.read() as session:
        vault.secret(session)
        current = _counts(session).get(keyring.key_id, 0)
        rows = session.execute(_outdated(keyring)).all()
    rotated = 0
    for start in range(0, max(len(rows), 1), BATCH):
        batch = rows[start : start + BATCH]
        done = start + len(batch)
        replacements = _reencrypted(keyring, batch)
        if done < len(rows):
            with store.note() as session:
                rotated += _replace(session, replacements)
        else:
            with changing(store, actor) as change:
                report = _finish(change, keyring, replacements, rotated, current)
        if progress is not None and batch:
            progress(done, len(rows))
    return report


def uses(store: Store, vault: Vault) -> tuple[KeyUse, ...]:
    """How many stored secrets each encryption key encrypted: configured keys in order, then any others."""
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


def _finish(
    change: Change, keyring: Keyring, ready: Sequence[Mapping[str, Any]], rotated: int, current: int
) -> RotationReport:
    """In the transaction of the last batch: replace what is outdated, keys saved since and the secret included, and
    write the entry. ``ready`` are the replacements of the last batch, some of which another run may have made."""
    session = change.session
    rows = session.execute(_outdated(keyring)).all()
    known = {(each["model"], each["old"]): dict(each) for each in ready}
    replacements = [known[row.id, row.api_key] for row in rows if (row.id, row.api_key) in known]
    replacements += _reencrypted(keyring, [row for row in rows if (row.id, row.api_key) not in known])
    rotated += _replace(session, replacements)
    opened = {each["model"] for each in replacements}
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
    """How many API keys each encryption key encrypted."""
    statement = (
        select(ModelRow.api_key_id, func.count()).where(ModelRow.api_key_id.is_not(None)).group_by(ModelRow.api_key_id)
    )
    return {str(key_id): number for key_id, number in session.execute(statement)}


def _outdated(keyring: Keyring) -> Select[str, str, str | None]:
    columns = (ModelRow.id, ModelRow.name, ModelRow.api_key)
    return select(*columns).where(ModelRow.api_key_id != keyring.key_id)


def _reencrypted(keyring: Keyring, rows: Sequence[Stored]) -> list[dict[str, Any]]:
    """Parameters of `_REPLACE`, without the rows that no key decrypts."""
    replacements = []
    for model, _, old in rows:
        if isinstance(model, Unreadable):  # edited by SQL: no statement finds its row
            continue
        try:
            new = keyring.rotate(old or "")
        except DecryptionError:
            continue
        replacements.append({"model": model, "old": old, "new": new, "new_id": keyring.key_id})
    return replacements


def _replace(session: Session, replacements: Sequence[dict[str, Any]]) -> int:
    """Replace each ciphertext that is still the one that was read; return how many were replaced."""
    if not replacements:
        return 0
    return session.connection().execute(_REPLACE, replacements).rowcount
