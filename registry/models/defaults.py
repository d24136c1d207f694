"""The default model of each type: a pointer; the schema ensures that it refers to an active model of that type.

Nothing here commits.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.audit.change import Change, Target
from registry.audit.records import Action, TargetKind
from registry.errors import DefaultModelError, InactiveModelError
from registry.models import editing
from registry.records import ModelType, Status
from registry.store.rows import default_ids
from registry.store.tables import DefaultRow, ModelRow


def make(change: Change, row: ModelRow) -> None:
    """Make a model the default of its type, in place of the current one.

    Raises:
        InactiveModelError: it is not active.
    """
    if row.status != Status.ACTIVE:
        raise InactiveModelError(f"“{row.name}” is {row.status}. Activate it before making it the default.")
    session = change.session
    pointer = session.get(DefaultRow, row.type)
    if pointer is None:
        session.add(DefaultRow(type=row.type, model_ref=row.id))
        before = None
    elif pointer.model_ref == row.id:
        return
    else:
        before = _name(session, pointer)
        pointer.model_ref = row.id
    session.flush()
    change.log(Action.MODEL_SET_DEFAULT, editing.target(row), {"default": (before, row.name)})


def apply(change: Change, row: ModelRow, wanted: bool | None) -> None:
    """Apply the edit's `is_default`; None leaves the default unchanged.

    Raises:
        InactiveModelError: ``wanted`` is True, but the model is not active.
        DefaultModelError: ``wanted`` is False, but the model is the default: another one must replace it.
    """
    if wanted:
        make(change, row)
    elif wanted is False and row.id in default_ids(change.session):
        raise DefaultModelError(
            f"“{row.name}” is the default {row.type} model. Make another model the default in its place."
        )


def clear(change: Change, kind: ModelType) -> None:
    """Clear the default of a type, if there is one."""
    session = change.session
    pointer = session.get(DefaultRow, kind.value)
    if pointer is not None:
        name = _name(session, pointer)
        target = Target(TargetKind.MODEL, pointer.model_ref, name or kind.value)
        session.delete(pointer)
        session.flush()
        change.log(Action.MODEL_CLEAR_DEFAULT, target, {"default": (name, None)})


def _name(session: Session, pointer: DefaultRow) -> str | None:
    """The name of the default; None if an edit by SQL made the pointer dangle."""
    row = session.get(ModelRow, pointer.model_ref)
    return row.name if row else None
