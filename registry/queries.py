"""What the use cases share: reading rows and turning them into records. Nothing here commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, false, func, or_, select
from sqlalchemy.orm import Session

from registry import arguments
from registry.arguments import ModelRef
from registry.crypto import Binding
from registry.errors import NotFoundError
from registry.providers import PROVIDERS
from registry.records import FrozenDict, KnowledgeBase, Model, ModelSummary, ModelType, Status
from registry.specs import name_key
from registry.tables import BindingRow, DefaultRow, KnowledgeBaseRow, ModelRow, ModelStateRow

CONTRACT_FIELDS = ("dimensions", "normalize", "distance_metric")
_MOST_NAMES = 50

Contract = dict[str, Any]
Column = SQLColumnExpression[str]


def fetch(
    session: Session,
    id_or_name: ModelRef,
    visible: Sequence[ColumnElement[bool]] = (),
    argument: str = "id_or_name",
) -> ModelRow:
    """The row with this id or, failing that, this name.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: ``argument`` is none of the things that name a model.
    """
    wanted = arguments.model(argument, id_or_name)
    for condition in (equals(ModelRow.id, wanted), equals(ModelRow.name_key, wanted, name_key)):
        row = session.scalars(select(ModelRow).where(condition, *visible)).one_or_none()
        if row is not None:
            return row
    raise NotFoundError("There is no such model. It may have been deleted: load the list again.")


def equals(column: Column, text: str, form: Callable[[str], str] = str) -> ColumnElement[bool]:
    """The condition that a column holds exactly this text, in the form in which the column keeps texts."""
    return column == form(text) if arguments.findable(text) else false()


def contains(column: Column, text: str, form: Callable[[str], str] = str) -> ColumnElement[bool]:
    """The condition that a column contains this text, as in `equals`, but in any case for ASCII letters."""
    return column.icontains(form(text), autoescape=True) if arguments.findable(text) else false()


def matching(
    type: ModelType | str | None, provider: str | None, status: Status | str | None, search: str | None
) -> list[ColumnElement[bool]]:
    """Conditions for the models of a list.

    Raises:
        InvalidInputError: there is no such type or status, or a filter is no text.
    """
    conditions: list[ColumnElement[bool]] = []
    if type is not None:
        conditions.append(ModelRow.type == arguments.member(ModelType, "type", type).value)
    if status is not None:
        conditions.append(ModelRow.status == arguments.member(Status, "status", status).value)
    if served_by := arguments.wanted("provider", provider):
        conditions.append(equals(ModelRow.provider, served_by))
    if needle := arguments.wanted("search", search):
        named = [id for id, entry in PROVIDERS.items() if needle.casefold() in entry.label.casefold()]
        conditions.append(
            or_(
                contains(ModelRow.name_key, needle, name_key),
                contains(ModelRow.model_id, needle),
                ModelRow.provider.in_(named),
            )
        )
    return conditions


def default_ids(session: Session) -> set[str]:
    """The ids of the models that are the default of their type."""
    return set(session.scalars(select(DefaultRow.model_id)))


def contract(row: ModelRow) -> Contract | None:
    """The embedding contract: vectors that were made under two of them never mix. None for other types."""
    if row.type != ModelType.EMBEDDING:
        return None
    return {"provider": row.provider, "model_id": row.model_id, **{name: row.config[name] for name in CONTRACT_FIELDS}}


def origin_of(provider: str, api_endpoint: str | None) -> str:
    """Where a model is called; empty where its provider is not in the catalogue, or its endpoint no address."""
    try:
        return PROVIDERS[provider].origin(api_endpoint)
    except (KeyError, ValueError):
        return ""


def binding_of(row: ModelRow) -> Binding:
    """What a key stored in this row belongs to."""
    return Binding(row.id, row.provider, origin_of(row.provider, row.api_endpoint))


def described(row: ModelRow) -> dict[str, Any]:
    """A model as the audit log compares it: flat, and with the ciphertext in the place of the key (see `delta`)."""
    return {
        "name": row.name,
        "type": row.type,
        "provider": row.provider,
        "model_id": row.model_id,
        "api_endpoint": row.api_endpoint,
        "api_key": row.api_key,
        "status": row.status,
        **{f"connection.{name}": value for name, value in row.connection.items()},
        **{f"config.{name}": value for name, value in row.config.items()},
    }


def to_record(row: ModelRow, *, is_default: bool) -> Model:
    """The row as a record, without its key."""
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in row.config.items()}
    return Model(
        id=row.id,
        type=ModelType(row.type),
        provider=row.provider,
        name=row.name,
        model_id=row.model_id,
        api_endpoint=row.api_endpoint,
        connection=FrozenDict(row.connection),
        config=FrozenDict(config),
        status=Status(row.status),
        is_default=is_default,
        has_api_key=row.api_key is not None,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def summaries(session: Session, conditions: Sequence[ColumnElement[bool]]) -> list[ModelSummary]:
    """Light rows for a list, by name, in one statement."""
    users = select(BindingRow.model_id, func.count().label("n")).group_by(BindingRow.model_id).subquery()
    statement = (
        select(
            ModelRow.id,
            ModelRow.name,
            ModelRow.type,
            ModelRow.provider,
            ModelRow.model_id,
            ModelRow.status,
            DefaultRow.model_id.is_not(None),
            ModelRow.api_key.is_not(None),
            func.coalesce(users.c.n, 0),
            ModelRow.updated_at,
            func.coalesce(ModelStateRow.proxy_version == ModelRow.version, false()),
            func.coalesce(ModelStateRow.proxy_message, ""),
            ModelStateRow.test_ok,
            ModelStateRow.test_message,
            ModelStateRow.test_ms,
            ModelStateRow.test_at,
            func.coalesce(ModelStateRow.test_version == ModelRow.version, false()),
        )
        .outerjoin(DefaultRow, DefaultRow.model_id == ModelRow.id)
        .outerjoin(users, users.c.model_id == ModelRow.id)
        .outerjoin(ModelStateRow, ModelStateRow.model_id == ModelRow.id)
        .where(*conditions)
        .order_by(ModelRow.name_key)
    )
    return [ModelSummary(*row) for row in session.execute(statement)]


def bases_using(session: Session, model: str) -> list[KnowledgeBase]:
    """The knowledge bases that use a model, by name."""
    users = select(BindingRow.knowledge_base_id).where(BindingRow.model_id == model)
    return bases(session, (KnowledgeBaseRow.id.in_(users),))


def bases(session: Session, conditions: Sequence[ColumnElement[bool]]) -> list[KnowledgeBase]:
    """Knowledge bases with their bindings, by name."""
    order = (KnowledgeBaseRow.name, KnowledgeBaseRow.id)
    rows = session.scalars(select(KnowledgeBaseRow).where(*conditions).order_by(*order)).all()
    bound: dict[str, dict[str, str | None]] = {row.id: dict.fromkeys(map(str, ModelType)) for row in rows}
    chosen = select(KnowledgeBaseRow.id).where(*conditions)
    for binding in session.scalars(select(BindingRow).where(BindingRow.knowledge_base_id.in_(chosen))):
        bound[binding.knowledge_base_id][binding.type] = binding.model_id
    return [KnowledgeBase(row.id, row.name, **bound[row.id], updated_at=row.updated_at) for row in rows]


def impact(users: Sequence[KnowledgeBase]) -> dict[str, Any]:
    """The knowledge bases that a change touches, as an audit entry's context tells them."""
    if not users:
        return {}
    return {"knowledge_bases": [base.name for base in users[:_MOST_NAMES]], "knowledge_base_count": len(users)}
