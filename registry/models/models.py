"""Models: each public method is one use case and one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from registry.actors import BOUND, EVERYONE, READERS, Actor, Role, changes, reads
from registry.audit.change import changing, diff
from registry.audit.records import Action
from registry.catalog import arguments, validation
from registry.catalog.arguments import ModelFilter, ModelRef
from registry.catalog.egress import Policy
from registry.catalog.specs import ModelCreate, ModelUpdate
from registry.errors import (
    DefaultModelError,
    StaleVersionError,
    StoredValueError,
)
from registry.keys.vault import Vault
from registry.models import contract, defaults, editing, testing
from registry.models.knowledge_bases import move_bindings
from registry.probe.probe import Carrier
from registry.records import (
    Deletion,
    FrozenDict,
    Model,
    ModelSummary,
    ModelType,
    Reassignment,
    Status,
    TestResult,
)
from registry.store import rows
from registry.store.rows import MOST_VERSIONS, bases_using, default_ids, fetch, fetch_any
from registry.store.store import Store
from registry.store.tables import DefaultRow, ModelRow

_HIDDEN_FROM_VIEWERS: Final[dict[str, Any]] = {
    "in_step": True,
    "proxy_message": "",
    "test_ok": None,
    "test_message": None,
    "test_ms": None,
    "test_at": None,
    "test_is_current": False,
}
"""The fields about proxy and tests as viewers get them: the real messages can name endpoints."""


class Models:
    """The registered models, as ``registry.models``."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        actor: Actor | None = None,
        policy: Policy | None = None,
        carrier: Carrier | None = None,
        push: Callable[[str], str] = lambda _id: "",
    ) -> None:
        self._store = store
        self._vault = vault
        self._policy = policy or Policy()
        self._carrier = carrier
        self._push = push
        self.actor = actor

    def __repr__(self) -> str:
        return f"<Models of {self._store!r}>"

    @reads(*EVERYONE)
    def get(self, id_or_name: ModelRef) -> Model:
        """One model, by its id or its name.

        Raises:
            NotFoundError: there is none, or the actor's role does not see it.
            StoredValueError: the model's row cannot be read.
        """
        with self._store.read() as session:
            return self._record(fetch(session, id_or_name, self._visible()), default_ids(session))

    @reads(*EVERYONE)
    def find(self, where: ModelFilter | None = None) -> list[Model]:
        """The models that match, by name. A model that cannot be read is left out; `overview` has it.

        Raises:
            InvalidInputError: ``where`` is no filter.
        """
        conditions = self._conditions(where)
        found = []
        with self._store.read() as session:
            chosen = default_ids(session)
            for row in session.scalars(select(ModelRow).where(*conditions).order_by(ModelRow.name_key)):
                with suppress(StoredValueError):
                    found.append(self._record(row, chosen))
        return found

    @reads(*EVERYONE)
    def overview(self, where: ModelFilter | None = None) -> list[ModelSummary]:
        """As `find`, but light rows with the number of KBs that use each model, in one statement.

        Raises:
            InvalidInputError: ``where`` is no filter.
        """
        conditions = self._conditions(where)
        with self._store.read() as session:
            return self._summaries(session, conditions)

    @reads(*EVERYONE)
    def counts(self, where: ModelFilter | None = None) -> dict[tuple[ModelType, Status], int]:
        """How many of the models that match there are of each type and status.

        Raises:
            InvalidInputError: ``where`` is no filter.
        """
        columns = (ModelRow.type, ModelRow.status)
        statement = select(*columns, func.count()).where(*self._conditions(where)).group_by(*columns)
        with self._store.read() as session:
            rows = session.execute(statement).all()
        known = [row for row in rows if row[0] in list(ModelType) and row[1] in list(Status)]
        return {(ModelType(kind), Status(status)): number for kind, status, number in known}

    @reads(*EVERYONE)
    def default(self, type: ModelType | str) -> Model | None:
        """The default model of a type, or None.

        Raises:
            InvalidInputError: there is no such type.
            StoredValueError: the model's row cannot be read.
        """
        kind = arguments.member(ModelType, "type", type)
        pointer = select(DefaultRow.model_ref).where(DefaultRow.type == kind.value).scalar_subquery()
        with self._store.read() as session:
            row = session.scalars(select(ModelRow).where(ModelRow.id == pointer)).one_or_none()
            return self._record(row, {row.id}) if row else None

    @reads(*EVERYONE)
    def defaults(self) -> list[ModelSummary]:
        """The default of each type that has one."""
        with self._store.read() as session:
            return self._summaries(session, (DefaultRow.model_ref.is_not(None),))

    @reads(*READERS)
    def reassignment(self, id_or_name: ModelRef) -> Reassignment:
        """The KBs that use a model, and the active models that can replace it for them.

        Raises:
            NotFoundError: there is no such model.
        """
        with self._store.read() as session:
            row = fetch_any(session, id_or_name)
            users = bases_using(session, row.id)
            others = (ModelRow.type == row.type, ModelRow.status == Status.ACTIVE.value, ModelRow.id != row.id)
            active = session.scalars(select(ModelRow).where(*others)) if users else ()
            ours = contract.of(row)
            fitting = [other.id for other in active if contract.of(other) == ours and not rows.faults(other)]
            candidates = rows.summaries(session, (ModelRow.id.in_(fitting),)) if fitting else []
            return Reassignment(tuple(users), tuple(candidates))

    @changes(Role.ADMIN)
    def create(
        self, spec: ModelCreate | Mapping[str, Any], *, tested: TestResult | None = None, actor: Actor = BOUND
    ) -> Model:
        """Register a model; with ``is_default`` it becomes the default of its type.

        Args:
            tested: the result that `test` returned for exactly this model, to save with it. A result of another call,
                or of another process, is ignored.

        Raises:
            InvalidModelError: ``fields`` gives the reason for each refused field.
            UnsafeEndpointError: the outbound policy refuses its endpoint.
            AlreadyExistsError: another model has this name.
            SettingsError: it has a key and no encryption key is configured.
        """
        whole = validation.parse_create(spec)
        self._policy.check(rows.origin_of(whole.provider, whole.api_endpoint))
        with changing(self._store, actor) as change:
            session, at = change.session, change.at
            row = ModelRow(id=str(uuid4()), type=whole.type.value, version=1, created_at=at, updated_at=at)
            editing.fill(row, whole)
            self._vault.seal(session, row, whole.api_key)
            editing.refuse_taken_name(session, row)
            session.add(row)
            session.flush()
            change.log(Action.MODEL_CREATE, editing.target(row), diff({}, rows.described(row)))
            if whole.is_default:
                defaults.make(change, row)
            testing.adopt(session, self._vault, row, tested)
            model = self._record(row, default_ids(session))
        return self._followed(model)

    @changes(Role.ADMIN)
    def update(
        self,
        id_or_name: ModelRef,
        edit: ModelUpdate | Mapping[str, Any],
        *,
        version: int,
        tested: TestResult | None = None,
        actor: Actor = BOUND,
    ) -> Model:
        """Change only the given fields: ``config`` and ``connection`` are merged, None clears a key or endpoint.

        An edit without effect changes nothing, not even the version.

        Args:
            version: of the model as the caller read it.
            tested: the result that `test` returned for exactly this edit, to save with the model; see `create`.

        Raises:
            NotFoundError: there is no such model.
            StaleVersionError: another user changed it since.
            InvalidModelError: ``fields`` gives the reason for each refused field.
            InvalidInputError: the version is not a whole number.
            EndpointChangedError: the stored key was entered for another origin or provider: give a key.
            UnsafeEndpointError: the outbound policy refuses its endpoint.
            AlreadyExistsError: another model has this name.
            ContractError: KBs hold vectors that were made under the present contract.
            DefaultModelError: the model is the default and would no longer be active, or no longer be the default.
            InactiveModelError: the edit makes it the default, but it is not active.
        """
        given = validation.parse_update(edit)
        version = arguments.whole("version", version, 1, MOST_VERSIONS)
        with changing(self._store, actor) as change:
            session = change.session
            row = fetch(session, id_or_name)
            if row.version != version:
                raise StaleVersionError(
                    f"“{row.name}” was changed by another user in the meantime. Load it again and repeat your edit."
                )
            whole = editing.merged(row, given)
            kept = None if "api_key" in given else self._vault.readable(row)
            validation.refuse_key_in_fields(whole, kept, given)
            self._policy.check(rows.origin_of(whole.provider, whole.api_endpoint))
            before, old_contract = rows.described(row), contract.of(row)
            editing.fill(row, whole)
            is_sealed = "api_key" in given and self._vault.seal(session, row, whole.api_key)
            editing.refuse_taken_name(session, row)
            is_replaced = is_sealed and before["api_key"] is not None
            is_changed = editing.save(
                change, Action.MODEL_UPDATE, row, before, old_contract, is_key_replaced=is_replaced
            )
            if is_changed and kept is not None:
                self._vault.mark(session, row, kept)
            defaults.apply(change, row, given.get("is_default"))
            testing.adopt(session, self._vault, row, tested)
            model = self._record(row, default_ids(session))
        return self._followed(model) if is_changed else model

    @changes(Role.ADMIN)
    def set_status(self, id_or_name: ModelRef, status: Status | str, *, actor: Actor = BOUND) -> Model:
        """Make a model active, inactive or deprecated. KBs that use it stay bound to it.

        Raises:
            InvalidInputError: there is no such status.
            NotFoundError: there is no such model.
            DefaultModelError: it is the default of its type, which must be active.
        """
        wanted = arguments.member(Status, "status", status)
        with changing(self._store, actor) as change:
            session = change.session
            row = fetch(session, id_or_name)
            before = rows.described(row)
            row.status = wanted.value
            is_changed = editing.save(change, Action.MODEL_SET_STATUS, row, before, contract.of(row))
            model = self._record(row, default_ids(session))
        return self._followed(model) if is_changed else model

    @changes(Role.ADMIN)
    def set_default(self, id_or_name: ModelRef, *, actor: Actor = BOUND) -> Model:
        """Make a model the default of its type, in place of the current one.

        Raises:
            NotFoundError: there is no such model.
            InactiveModelError: it is not active.
        """
        with changing(self._store, actor) as change:
            session = change.session
            row = fetch(session, id_or_name)
            defaults.make(change, row)
            return self._record(row, {row.id})

    @changes(Role.ADMIN)
    def clear_default(self, type: ModelType | str, *, actor: Actor = BOUND) -> None:
        """Clear the default of a type; succeed if there is none.

        Raises:
            InvalidInputError: there is no such type.
        """
        kind = arguments.member(ModelType, "type", type)
        with changing(self._store, actor) as change:
            defaults.clear(change, kind)

    @changes(Role.ADMIN)
    def delete(self, id_or_name: ModelRef, *, reassign_to: ModelRef | None = None, actor: Actor = BOUND) -> Deletion:
        """Delete a model. With ``reassign_to``, all KBs that use it move to that model in the same transaction.

        ``reassign_to`` must be a fitting model even if no KB uses the deleted one.

        Raises:
            NotFoundError: there is no such model, or no model ``reassign_to``.
            InvalidInputError: the model to move to is the one to delete.
            DefaultModelError: it is the default of its type.
            InUseError: KBs use it and ``reassign_to`` is not given; ``knowledge_bases`` names them.
            InactiveModelError: the model to move to is not active.
            ContractError: the model to move to has another type or another embedding contract.
            StoredValueError: the row of the model to move to cannot be read. That of the one to delete need not be
                readable.
        """
        with changing(self._store, actor) as change:
            session = change.session
            row = fetch_any(session, id_or_name)
            if row.id in default_ids(session):
                raise DefaultModelError(
                    f"“{row.name}” is the default {row.type} model. Make another model the default first."
                )
            users = bases_using(session, row.id)
            context = rows.impact(users)
            if users and reassign_to is None:
                raise editing.in_use(row, users)
            if reassign_to is not None:
                new = fetch(session, reassign_to, argument="reassign_to")
                move_bindings(change, row, new, users)
                context |= {"reassigned_to": new.name} if users else {}
            session.delete(row)
            session.flush()
            delta = diff(rows.described(row), {})
            change.log(Action.MODEL_DELETE, editing.target(row), delta, context)
            id, name = row.id, row.name
        return Deletion(name, tuple(users), self._push(id))

    @changes(Role.ADMIN)
    def test(
        self,
        model: ModelRef | ModelCreate | Mapping[str, Any],
        changes: ModelUpdate | Mapping[str, Any] | None = None,
        *,
        actor: Actor = BOUND,
    ) -> TestResult:
        """Make one real call to a model and report how far it got. The result is written to the audit log.

        Parameters that are required for saving are optional here: dimensions are measured, and a call needs no others.

        Args:
            model: a saved model, with which the result is saved, or the fields of an unsaved one.
            changes: an unsaved edit of the saved model, as for `update`. It is tested with the stored key, unless it
                contains one.

        Returns:
            the result; pass it to `create` or `update` as ``tested`` to save it with the model.

        Raises:
            NotFoundError: there is no such model.
            InvalidModelError: ``fields`` gives the reason for each refused field.
            EndpointChangedError: the stored key was entered for another origin or provider: give a key.
            UnsafeEndpointError: the outbound policy refuses the endpoint.
            DecryptionError: the stored key cannot be read.
            SettingsError: no encryption key is configured, or LiteLLM is not installed.
        """
        return testing.Tester(self._store, self._vault, self._policy, self._carrier).test(actor, model, changes)

    def _followed(self, model: Model) -> Model:
        return replace(model, proxy_message=self._push(model.id))

    def _conditions(self, where: ModelFilter | None) -> tuple[ColumnElement[bool], ...]:
        return (*rows.matching(arguments.model_filter("where", where)), *self._visible())

    def _visible(self) -> tuple[ColumnElement[bool], ...]:
        return (ModelRow.status == Status.ACTIVE.value,) if self._is_viewer() else ()

    def _record(self, row: ModelRow, chosen: set[str]) -> Model:
        model = rows.to_record(row, is_default=row.id in chosen)
        return replace(model, api_endpoint=None, connection=FrozenDict()) if self._is_viewer() else model

    def _summaries(self, session: Session, conditions: Sequence[ColumnElement[bool]]) -> list[ModelSummary]:
        found = rows.summaries(session, conditions)
        return [replace(row, **_HIDDEN_FROM_VIEWERS) for row in found] if self._is_viewer() else found

    def _is_viewer(self) -> bool:
        return self.actor is not None and self.actor.role is Role.VIEWER
