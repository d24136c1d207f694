"""Knowledge bases: the models they are bound to, and the rules that follow from that."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from registry.actors import BOUND, Actor, Role, changes, reads
from registry.audit.change import Change, Target, changing, diff
from registry.audit.records import Action, TargetKind
from registry.catalog import arguments, validation
from registry.catalog.arguments import KnowledgeBaseRef, ModelRef
from registry.errors import ContractError, InactiveModelError, InvalidInputError, NotFoundError
from registry.models import contract
from registry.records import KnowledgeBase, ModelType, Status
from registry.store import rows
from registry.store.rows import bases, fetch
from registry.store.store import Store
from registry.store.tables import BindingRow, KnowledgeBaseRow, ModelRow


class _Unset(Enum):
    KEEP = "keep"

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Unset.KEEP
Choice = ModelRef | None | _Unset


class KnowledgeBases:
    """The knowledge bases and their bindings, as ``registry.knowledge_bases``."""

    def __init__(self, store: Store, actor: Actor | None = None) -> None:
        self._store = store
        self.actor = actor

    def __repr__(self) -> str:
        return f"<KnowledgeBases of {self._store!r}>"

    @reads(Role.AUDITOR, Role.ADMIN, Role.SERVICE)
    def get(self, id: KnowledgeBaseRef) -> KnowledgeBase:
        """One knowledge base.

        Raises:
            NotFoundError: no knowledge base with this id was ever bound.
        """
        with self._store.read() as session:
            return _one(session, arguments.knowledge_base("id", id))

    @reads(Role.AUDITOR, Role.ADMIN, Role.SERVICE)
    def find(self, *, search: str | None = None) -> list[KnowledgeBase]:
        """All knowledge bases, or those whose id or name contains ``search``, by name."""
        needle = arguments.wanted("search", search)
        match = rows.contains(KnowledgeBaseRow.name, needle) | rows.contains(KnowledgeBaseRow.id, needle)
        with self._store.read() as session:
            return bases(session, (match,) if needle else ())

    @reads(Role.AUDITOR, Role.ADMIN, Role.SERVICE)
    def using(self, model: ModelRef) -> list[KnowledgeBase]:
        """The knowledge bases that use a model.

        Raises:
            NotFoundError: there is no such model.
        """
        with self._store.read() as session:
            return rows.bases_using(session, fetch(session, model, argument="model").id)

    @changes(Role.ADMIN, Role.SERVICE)
    def bind(
        self,
        id: KnowledgeBaseRef,
        *,
        name: str | None = None,
        embedding: Choice = KEEP,
        generation: Choice = KEEP,
        ner: Choice = KEEP,
        reindexed: bool = False,
        actor: Actor = BOUND,
    ) -> KnowledgeBase:
        """Bind a knowledge base to models; None unbinds a type, an omitted type does not change.

        Args:
            id: chosen by the KB code, at most 255 characters.
            name: required the first time, at most 255 characters.
            reindexed: all vectors of the KB were recomputed (or there are none). Only then can its embedding contract
                change.

        Raises:
            InvalidInputError: an argument is invalid, or a model has another type.
            NotFoundError: there is no such model.
            InactiveModelError: a model that is not bound yet is not active.
            ContractError: vectors of two contracts would mix.
        """
        key = validation.check_text("id", arguments.knowledge_base("id", id))
        reindexed = arguments.flag("reindexed", reindexed)
        choices = {ModelType.EMBEDDING: embedding, ModelType.GENERATION: generation, ModelType.NER: ner}
        with changing(self._store, actor) as change:
            session = change.session
            row = session.get(KnowledgeBaseRow, key)
            is_new = row is None
            if row is None:
                row = KnowledgeBaseRow(id=key, name="", contract=None)
                session.add(row)
            before, old_contract = {} if is_new else _described(session, row), row.contract
            if name is not None or is_new:
                row.name = validation.check_text("name", "" if name is None else name)
            row.updated_at = change.at if is_new else row.updated_at
            session.flush()
            for kind, choice in choices.items():
                if not isinstance(choice, _Unset):
                    _bind(session, row, kind, choice, reindexed=reindexed)
            delta = diff(before, _described(session, row))
            if row.contract != old_contract and "embedding" not in delta:  # the same model, under another contract
                delta["contract"] = (old_contract, row.contract)
            if delta:
                row.updated_at = change.at
                session.flush()
                context = {"reindexed": True} if reindexed else {}
                change.log(Action.KNOWLEDGE_BASE_BIND, _target(row), delta, context)
            return _one(session, key)

    @changes(Role.ADMIN, Role.SERVICE)
    def remove(self, id: KnowledgeBaseRef, *, actor: Actor = BOUND) -> None:
        """Remove a knowledge base and its bindings. Its models stay.

        Raises:
            NotFoundError: there is no such knowledge base.
        """
        with changing(self._store, actor) as change:
            session = change.session
            row = _row(session, arguments.knowledge_base("id", id))
            delta = diff(_described(session, row), {})
            session.execute(delete(BindingRow).where(BindingRow.knowledge_base_id == row.id))
            session.delete(row)
            session.flush()
            change.log(Action.KNOWLEDGE_BASE_REMOVE, _target(row), delta)


def move_bindings(change: Change, old: ModelRow, new: ModelRow, users: Sequence[KnowledgeBase]) -> None:
    """Move all KBs from one model to another, inside the caller's transaction.

    Raises:
        InvalidInputError: both are the same model.
        InactiveModelError: the new model is not active.
        ContractError: the new model has another type, or another embedding contract.
    """
    if new.id == old.id:
        raise InvalidInputError({"reassign_to": "Choose another model than the one to delete."})
    if new.status != Status.ACTIVE:
        raise InactiveModelError(f"“{new.name}” is {new.status}: only an active model can take over.")
    if new.type != old.type:
        raise ContractError(f"“{new.name}” is a model for {new.type}, not for {old.type}.", users)
    contract.require_same(new, old, users)
    session = change.session
    for binding in session.scalars(select(BindingRow).where(BindingRow.model_ref == old.id)).all():
        binding.model_ref = new.id
    for base in session.scalars(select(KnowledgeBaseRow).where(KnowledgeBaseRow.id.in_([u.id for u in users]))).all():
        base.updated_at = change.at
        session.flush()
        change.log(Action.KNOWLEDGE_BASE_REASSIGN, _target(base), {old.type: (old.name, new.name)})


def _target(row: KnowledgeBaseRow) -> Target:
    return Target(TargetKind.KNOWLEDGE_BASE, row.id, row.name)


def _bind(
    session: Session, base: KnowledgeBaseRow, kind: ModelType, choice: ModelRef | None, *, reindexed: bool
) -> None:
    binding = _bindings(session, base.id).get(kind.value)
    model = fetch(session, choice, argument=kind.value) if choice is not None else None
    if model is None and binding is None:
        return
    if model is not None:
        _check_bindable(model, kind, is_bound=binding is not None and binding.model_ref == model.id)
    if kind is ModelType.EMBEDDING:
        made_under = contract.of(model) if model else None
        if not reindexed and not contract.is_kept(base, made_under):
            raise contract.refusal(base, [_one(session, base.id)])
        base.contract = made_under
    if model is None:
        session.delete(binding)
    elif binding is None:
        session.add(BindingRow(knowledge_base_id=base.id, type=kind.value, model_ref=model.id))
    else:
        binding.model_ref = model.id
    session.flush()


def _check_bindable(model: ModelRow, kind: ModelType, *, is_bound: bool) -> None:
    if model.type != kind:
        raise InvalidInputError({kind.value: f"“{model.name}” is a model for {model.type}, not for {kind}."})
    if model.status != Status.ACTIVE and not is_bound:
        raise InactiveModelError(f"“{model.name}” is {model.status}: bind an active model.")


def _bindings(session: Session, id: str) -> dict[str, BindingRow]:
    rows = session.scalars(select(BindingRow).where(BindingRow.knowledge_base_id == id))
    return {row.type: row for row in rows}


def _described(session: Session, row: KnowledgeBaseRow) -> dict[str, Any]:
    statement = (
        select(BindingRow.type, ModelRow.name)
        .join(ModelRow, ModelRow.id == BindingRow.model_ref)
        .where(BindingRow.knowledge_base_id == row.id)
        .order_by(BindingRow.type)
    )
    return {"name": row.name, **{binding.type: binding.name for binding in session.execute(statement)}}


def _row(session: Session, id: str) -> KnowledgeBaseRow:
    row = session.scalars(select(KnowledgeBaseRow).where(rows.equals(KnowledgeBaseRow.id, id))).one_or_none()
    if row is None:
        raise NotFoundError("There is no such knowledge base. It appears here once it has been bound to a model.")
    return row


def _one(session: Session, id: str) -> KnowledgeBase:
    return bases(session, (KnowledgeBaseRow.id == _row(session, id).id,))[0]
