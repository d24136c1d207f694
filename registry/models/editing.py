"""Applies an edit to a model: merges it, fills the row, checks the result, and logs what changed.

Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.audit.change import Change, Target, diff
from registry.audit.records import Action, TargetKind
from registry.catalog import validation
from registry.catalog.specs import ModelCreate, called, name_key
from registry.errors import (
    AlreadyExistsError,
    DefaultModelError,
    EndpointChangedError,
    InUseError,
)
from registry.models import contract
from registry.models.contract import Contract
from registry.records import KnowledgeBase, Status
from registry.store import rows
from registry.store.rows import bases_using, default_ids
from registry.store.tables import ModelRow, ModelStateRow


def merged(
    row: ModelRow, given: Mapping[str, Any], parse: Callable[..., ModelCreate] = validation.parse_create
) -> ModelCreate:
    """The whole model after the edit, checked by ``parse``.

    Raises:
        InvalidModelError: ``fields`` gives the reason for each refused field.
        EndpointChangedError: the stored key would go to another origin or provider.
    """
    provider = given.get("provider", row.provider)
    whole = {
        "type": row.type,
        "provider": provider,
        "name": given.get("name", row.name),
        "model_id": given.get("model_id", row.model_id),
        "api_endpoint": given.get("api_endpoint", row.api_endpoint),
        "api_key": given.get("api_key"),
        "connection": {**(row.connection if provider == row.provider else {}), **given.get("connection", {})},
        "config": {**row.config, **given.get("config", {})},
        "status": given.get("status", row.status),
        "is_default": given.get("is_default", False),
    }
    keeps_key = row.api_key is not None and "api_key" not in given
    spec = parse(whole, has_stored_key=keeps_key)
    moved = (provider, rows.origin_of(provider, spec.api_endpoint)) != (
        row.provider,
        rows.origin_of(row.provider, row.api_endpoint),
    )
    if keeps_key and moved:
        raise EndpointChangedError(
            {"api_key": "The saved key was entered for another address or provider. Enter the key for this one."}
        )
    return spec


def fill(row: ModelRow, spec: ModelCreate) -> None:
    """Write a checked model into its row; the caller sets the key."""
    row.provider, row.name, row.name_key = spec.provider, spec.name, name_key(spec.name)
    row.model_id, row.api_endpoint = spec.model_id, spec.api_endpoint
    row.connection, row.config, row.status = dict(spec.connection), dict(spec.config), spec.status.value


def refuse_taken_name(session: Session, row: ModelRow) -> None:
    """Make sure that no other model has the row's name.

    Raises:
        AlreadyExistsError: another model has it.
    """
    other = session.scalars(select(ModelRow).where(ModelRow.name_key == row.name_key, ModelRow.id != row.id)).first()
    if other is not None:
        raise AlreadyExistsError(
            f"There is a model “{other.name}” already. Choose another name.", fields={"name": "This name is taken."}
        )


def save(
    change: Change,
    action: Action,
    row: ModelRow,
    before: Mapping[str, Any],
    old_contract: Contract | None,
    *,
    is_key_replaced: bool = False,
) -> bool:
    """Finish an edit; return whether it changed anything.

    Args:
        before: `rows.described` of the row before the edit; ``old_contract`` is its contract then.
        is_key_replaced: the key was replaced by a different one; needed where neither has a fingerprint.

    Raises:
        ContractError: KBs store vectors that were made under the old contract, which the edit would change.
        DefaultModelError: the model is the default of its type and would no longer be active.
    """
    session, after = change.session, rows.described(row)
    changes = diff(before, after)
    if is_key_replaced:
        changes.setdefault("api_key", (rows.SET, "changed"))
    if not changes:
        session.expire(row)  # a value that only differs in how it is stored is not written without an entry
        return False
    users = bases_using(session, row.id)
    contract.require_kept(row, old_contract, changes, users)
    if row.status != Status.ACTIVE and row.id in default_ids(session):
        raise DefaultModelError(
            f"“{row.name}” is the default {row.type} model and must stay active. Make another model the default first."
        )
    if "api_key" not in changes and called(before) == called(after):
        _carry_test_along(session, row)
    row.version += 1
    row.updated_at = change.at
    session.flush()
    change.log(action, target(row), changes, rows.impact(users))
    return True


def _carry_test_along(session: Session, row: ModelRow) -> None:
    """Make the test of this version count for the next: the fields that affect the call are the same."""
    state = session.get(ModelStateRow, row.id)
    if state is not None and state.test_version == row.version:
        state.test_version = row.version + 1


def target(row: ModelRow) -> Target:
    """A model as the target of an audit entry."""
    return Target(TargetKind.MODEL, row.id, row.name)


def in_use(row: ModelRow, users: Sequence[KnowledgeBase]) -> InUseError:
    """The error of deleting a model that these KBs use."""
    names = ", ".join(base.name for base in users[:5]) + (", …" if len(users) > 5 else "")
    return InUseError(
        f"“{row.name}” is used by {rows.counted(users)}: {names}. Move them to another model first.", users
    )
