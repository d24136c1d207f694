"""Shared by the use cases: reads rows and converts them to records. Nothing here commits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, SQLColumnExpression, Text, and_, cast, false, func, or_, select
from sqlalchemy.orm import Session

from registry.catalog import arguments
from registry.catalog.arguments import ModelFilter, ModelRef
from registry.catalog.endpoints import KeyScope
from registry.catalog.faults import shown
from registry.catalog.providers import PROVIDERS
from registry.catalog.specs import CONFIGS, name_key
from registry.errors import InvalidModelError, NotFoundError, StoredValueError
from registry.records import FrozenDict, KnowledgeBase, Model, ModelSummary, ModelType, Status
from registry.store.tables import (
    UNREADABLE,
    BindingRow,
    DefaultRow,
    KnowledgeBaseRow,
    ModelRow,
    ModelStateRow,
    Unreadable,
    read_object,
)

MOST_VERSIONS: Final = 2**31 - 1
SET: Final = "set"
"""Shown for a key that has no fingerprint."""
_MOST_NAMES = 50
_MOST_FAULTS = 5
_MOST_REMEMBERED = 20_000
_TYPES: Final = frozenset(map(str, ModelType))
_STATUSES: Final = frozenset(map(str, Status))
_DEFAULTS: Final = {
    kind: {
        name: list(field.default) if isinstance(field.default, tuple) else field.default  # as they are stored
        for name, field in config.model_fields.items()
        if not field.is_required()
    }
    for kind, config in CONFIGS.items()
}
_PRINT: Final = re.compile("[0-9a-f]{16}")
_IS_DEFAULT: Final = and_(DefaultRow.model_ref == ModelRow.id, DefaultRow.type == ModelRow.type)

Column = SQLColumnExpression[str]


def fetch(
    session: Session,
    id_or_name: ModelRef,
    visible: Sequence[ColumnElement[bool]] = (),
    argument: str = "id_or_name",
) -> ModelRow:
    """The readable row with this id or, if there is none, with this name.

    Raises:
        NotFoundError: there is none.
        StoredValueError: an edit by SQL made it unreadable.
        InvalidInputError: ``id_or_name`` is not a `ModelRef`; the error names ``argument``.
    """
    row = fetch_any(session, id_or_name, visible, argument)
    require_readable(row)
    return row


def fetch_any(
    session: Session,
    id_or_name: ModelRef,
    visible: Sequence[ColumnElement[bool]] = (),
    argument: str = "id_or_name",
) -> ModelRow:
    """As `fetch`, even if the row cannot be read: for callers that need only its id.

    Raises:
        NotFoundError, InvalidInputError: as `fetch`.
    """
    wanted = arguments.model(argument, id_or_name)
    for condition in (equals(ModelRow.id, wanted), equals(ModelRow.name_key, wanted, name_key)):
        row = session.scalars(select(ModelRow).where(condition, *visible)).one_or_none()
        if row is not None:
            return row
    raise NotFoundError("There is no such model. It may have been deleted: load the list again.")


def require_readable(row: ModelRow) -> None:
    """Check that a row can be used.

    Raises:
        StoredValueError: it cannot; ``fields`` names the unreadable fields.
    """
    found = faults(row)
    if found:
        raise StoredValueError(
            f"“{row.name}” cannot be read: its row in the database was edited ({', '.join(found[:_MOST_FAULTS])}). Fix "
            "it there, restore the store from a backup, or register the model again and delete this one.",
            fields=dict.fromkeys(found, "Cannot be read."),
        )


def faults(row: ModelRow) -> tuple[str, ...]:
    """The invalid fields without which a row cannot be used; only an edit by SQL can have set them.

    Other invalid fields are read as values that are refused when used: an endpoint that cannot be called, a key that
    cannot be decrypted, an unknown provider.
    """
    found = _column_faults(row.id, row.type, row.model_id, row.status, row.version)
    return found or _content_faults(ModelType(row.type), row.provider, row.connection, row.config)


def _column_faults(id: str, type: str, model_id: str, status: str, version: object) -> tuple[str, ...]:
    are_readable = {
        "id": not isinstance(id, Unreadable),
        "type": type in _TYPES,
        "model_id": not isinstance(model_id, Unreadable),
        "status": status in _STATUSES,
        "version": isinstance(version, int) and 1 <= version < MOST_VERSIONS,
    }
    return tuple(name for name, is_readable in are_readable.items() if not is_readable)


def _content_faults(kind: ModelType, provider: str, connection: object, config: object) -> tuple[str, ...]:
    if not isinstance(connection, dict) or not isinstance(config, dict):
        return tuple(name for name, part in (("connection", connection), ("config", config)) if part is UNREADABLE)
    if provider in PROVIDERS and kind not in PROVIDERS[provider].types:
        return ("provider",)
    known = CONFIGS[kind].model_fields
    others = config.keys() - known.keys()  # a later version can have written them
    found = [f"connection.{shown(name)}" for name, value in connection.items() if not isinstance(value, str)]
    found += [f"config.{shown(name)}" for name in others if not _is_plain(config[name])]
    try:
        CONFIGS[kind](**{name: config[name] for name in config if name not in others})
    except InvalidModelError as error:
        found += [f"config.{name}" for name in error.fields]
    return tuple(found)


def _is_plain(value: object) -> bool:
    """Whether a value has a type that parameters have: a text, a finite number, a bool, None, or a list of texts."""
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


@lru_cache(_MOST_REMEMBERED)
def _is_content_readable(type: str, provider: str, connection: str, config: str) -> bool:
    """As `_content_faults`, from the stored texts. Cached, since every list checks all of its models."""
    return not _content_faults(ModelType(type), provider, read_object(connection), read_object(config))


def equals(column: Column, text: str, form: Callable[[str], str] = str) -> ColumnElement[bool]:
    """The condition that a column equals this text; ``form`` converts the text to the column's form."""
    return column == form(text) if arguments.findable(text) else false()


def contains(column: Column, text: str, form: Callable[[str], str] = str) -> ColumnElement[bool]:
    """The condition that a column contains this text, ignoring the case of ASCII letters; ``form`` as in `equals`."""
    return column.icontains(form(text), autoescape=True) if arguments.findable(text) else false()


def matching(where: ModelFilter) -> list[ColumnElement[bool]]:
    """Conditions for the models that a filter lets through."""
    conditions: list[ColumnElement[bool]] = []
    if where.type is not None:
        conditions.append(ModelRow.type == str(where.type))
    if where.status is not None:
        conditions.append(ModelRow.status == str(where.status))
    if where.provider:
        conditions.append(equals(ModelRow.provider, where.provider))
    if needle := where.search:
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
    return set(session.scalars(select(ModelRow.id).join(DefaultRow, _IS_DEFAULT)))


def parameters(row: ModelRow) -> Mapping[str, Any]:
    """The parameters of a model, with defaults for those missing in its row; empty if they cannot be read."""
    if isinstance(row.config, Unreadable):
        return {}
    return {**_DEFAULTS[ModelType(row.type)], **row.config}


def require_provider(row: ModelRow) -> None:
    """Check that this version knows the provider.

    Raises:
        StoredValueError: it does not.
    """
    if row.provider not in PROVIDERS:
        raise StoredValueError(
            f"The provider of “{row.name}” is not known to this version of the registry. Install the version that "
            "knows it, or register another model.",
            fields={"provider": "Is not known."},
        )


def origin_of(provider: str, api_endpoint: str | None) -> str:
    """The origin at which a model is called; empty if its provider is unknown or its endpoint invalid."""
    try:
        return PROVIDERS[provider].origin(api_endpoint)
    except (KeyError, ValueError):
        return ""


def key_scope(row: ModelRow) -> KeyScope:
    """The scope of a key stored in this row."""
    return KeyScope(row.id, row.provider, origin_of(row.provider, row.api_endpoint))


def key_shown(row: ModelRow) -> str | None:
    """The displayable form of a row's key: its fingerprint, or `SET` without one; None if there is no key."""
    if row.api_key is None:
        return None
    mark = row.api_key_print or ""
    return f"key {mark}" if _PRINT.fullmatch(mark) else SET


def described(row: ModelRow) -> dict[str, Any]:
    """A model as the audit log compares it: its fields in one mapping, with the key's fingerprint instead of the key.

    For an unreadable row, parameters and connection fields are left out, since they can contain anything.
    """
    nested = {} if faults(row) else {"connection": row.connection, "config": parameters(row)}
    return {
        "name": row.name,
        "type": row.type,
        "provider": row.provider,
        "model_id": row.model_id,
        "api_endpoint": row.api_endpoint,
        "api_key": key_shown(row),
        "status": row.status,
        **{f"{part}.{name}": value for part, values in nested.items() for name, value in values.items()},
    }


def to_record(row: ModelRow, *, is_default: bool) -> Model:
    """The row as a record, without its key.

    Raises:
        StoredValueError: the row cannot be read.
    """
    require_readable(row)
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters(row).items()}
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
    users = select(BindingRow.model_ref, func.count().label("n")).group_by(BindingRow.model_ref).subquery()
    statement = (
        select(
            ModelRow.id,
            ModelRow.name,
            ModelRow.type,
            ModelRow.provider,
            ModelRow.model_id,
            ModelRow.status,
            DefaultRow.model_ref.is_not(None).label("is_default"),
            ModelRow.api_key.is_not(None).label("has_api_key"),
            func.coalesce(users.c.n, 0).label("used_by"),
            ModelRow.updated_at,
            func.coalesce(ModelStateRow.proxy_version == ModelRow.version, false()).label("in_step"),
            func.coalesce(ModelStateRow.proxy_message, "").label("proxy_message"),
            ModelStateRow.test_ok,
            ModelStateRow.test_message,
            ModelStateRow.test_ms,
            ModelStateRow.test_at,
            func.coalesce(ModelStateRow.test_version == ModelRow.version, false()).label("test_is_current"),
            ModelRow.version,
            cast(ModelRow.connection, Text).label("connection"),
            cast(ModelRow.config, Text).label("config"),
        )
        .outerjoin(DefaultRow, _IS_DEFAULT)
        .outerjoin(users, users.c.model_ref == ModelRow.id)
        .outerjoin(ModelStateRow, ModelStateRow.model_ref == ModelRow.id)
        .where(*conditions)
        .order_by(ModelRow.name_key)
    )
    return [_summary(row) for row in session.execute(statement).mappings()]


def _summary(row: RowMapping) -> ModelSummary:
    """A row of a list. Three of the columns only serve to check that it is readable."""
    fields = dict(row)
    version, connection, config = (fields.pop(name) for name in ("version", "connection", "config"))
    found = ModelSummary(**fields)
    is_readable = not _column_faults(found.id, found.type, found.model_id, found.status, version)
    if is_readable and _is_content_readable(found.type, found.provider, connection, config):
        return found
    return replace(found, is_readable=False)


def bases_using(session: Session, model: str) -> list[KnowledgeBase]:
    """The knowledge bases that use a model, by name."""
    users = select(BindingRow.knowledge_base_id).where(BindingRow.model_ref == model)
    return bases(session, (KnowledgeBaseRow.id.in_(users),))


def bases(session: Session, conditions: Sequence[ColumnElement[bool]]) -> list[KnowledgeBase]:
    """Knowledge bases with their bindings, by name."""
    order = (KnowledgeBaseRow.name, KnowledgeBaseRow.id)
    rows = session.scalars(select(KnowledgeBaseRow).where(*conditions).order_by(*order)).all()
    bound: dict[str, dict[str, str | None]] = {row.id: dict.fromkeys(map(str, ModelType)) for row in rows}
    chosen = select(KnowledgeBaseRow.id).where(*conditions)
    known = (BindingRow.knowledge_base_id.in_(chosen), BindingRow.type.in_(map(str, ModelType)))
    for binding in session.scalars(select(BindingRow).where(*known)):
        bound[binding.knowledge_base_id][binding.type] = binding.model_ref
    return [KnowledgeBase(row.id, row.name, **bound[row.id], updated_at=row.updated_at) for row in rows]


def impact(users: Sequence[KnowledgeBase]) -> dict[str, Any]:
    """The knowledge bases that a change affects, as the context of an audit entry."""
    if not users:
        return {}
    return {"knowledge_bases": [base.name for base in users[:_MOST_NAMES]], "knowledge_base_count": len(users)}


def counted(users: Sequence[KnowledgeBase]) -> str:
    """How many KBs these are, for an error."""
    return f"{len(users)} knowledge bases" if len(users) > 1 else "a knowledge base"
