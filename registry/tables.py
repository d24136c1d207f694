"""The tables, as SQLAlchemy sees them. Constraints have names, since errors are told by them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    case,
    cast,
    func,
    type_coerce,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from registry.records import ModelType, Status

TYPES = ", ".join(f"'{value}'" for value in ModelType)
STATUSES = ", ".join(f"'{value}'" for value in Status)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored as UTC with microseconds and read back aware, on both stores."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _FiniteDateTime(UtcDateTime):
    """As `UtcDateTime`, of PostgreSQL, whose ``infinity`` and years that Python does not know are read as None."""

    cache_ok = True

    def column_expression(self, column: ColumnElement[datetime]) -> ColumnElement[Any]:
        return case((column.between(_FIRST, _LAST), column))


class _SqliteDateTime(UtcDateTime):
    """As `UtcDateTime`, of SQLite; read as None is what is not written as this type writes it."""

    cache_ok = True

    def column_expression(self, column: ColumnElement[datetime]) -> ColumnElement[Any]:
        return _bytes_of_text(column)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes | None], datetime | None]:
        return _moment


class _SqliteText(TypeDecorator[str]):
    """Text of SQLite, which keeps anything in any column; read as None is what is no text in UTF-8.

    Args:
        kind: its type in the schema.
    """

    impl = String
    cache_ok = True

    def __init__(self, kind: String) -> None:
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        return dialect.type_descriptor(self.kind)

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[Any]:
        return _bytes_of_text(column)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes | None], str | None]:
        return _decoded


def _bytes_of_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The bytes as they are stored: the driver raises an error where it is to make a text of what is none."""
    return type_coerce(case((func.typeof(column) == "text", cast(column, LargeBinary))), column.type)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _moment(value: bytes | None) -> datetime | None:
    text = _decoded(value)
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    is_ours = found.tzinfo is None and found.isoformat(" ", "microseconds") == text
    return found.replace(tzinfo=UTC) if is_ours else None


_GUARDED_MOMENT = (
    DateTime(timezone=True).with_variant(_FiniteDateTime(), "postgresql").with_variant(_SqliteDateTime(), "sqlite")
)


def _guarded(kind: String) -> String:
    """A type of text that is None where what is stored cannot be read."""
    return kind.with_variant(_SqliteText(kind), "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime, dict[str, Any]: JSON}


class StoreRow(Base):
    """One row: which registry this is, its wrapped secret, and the head of the audit log."""

    __tablename__ = "store"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    registry_id: Mapped[str] = mapped_column(String(36))
    secret: Mapped[str | None] = mapped_column(Text)
    secret_key_id: Mapped[str | None] = mapped_column(String(12))
    audit_seq: Mapped[int] = mapped_column(BigInteger)
    audit_hash: Mapped[str] = mapped_column(String(64))


class ModelRow(Base):
    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("name_key", name="models_name_key"),
        UniqueConstraint("id", "type", name="models_id_type_key"),
        UniqueConstraint("id", "type", "status", name="models_id_type_status_key"),
        CheckConstraint(f"type IN ({TYPES})", name="type"),
        CheckConstraint(f"status IN ({STATUSES})", name="status"),
        CheckConstraint("length(name) BETWEEN 1 AND 255", name="name_length"),
        CheckConstraint("length(model_id) BETWEEN 1 AND 255", name="model_id_length"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("(api_key IS NULL) = (api_key_id IS NULL)", name="api_key_id"),
        Index("models_provider_idx", "provider"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    type: Mapped[str] = mapped_column(String(20))
    provider: Mapped[str] = mapped_column(String(50))
    name: Mapped[str] = mapped_column(String(255))
    name_key: Mapped[str] = mapped_column(Text)
    model_id: Mapped[str] = mapped_column(String(255))
    api_endpoint: Mapped[str | None] = mapped_column(String(500))
    connection: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    api_key: Mapped[str | None] = mapped_column(Text)
    api_key_id: Mapped[str | None] = mapped_column(String(12))
    status: Mapped[str] = mapped_column(String(20))
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ModelStateRow(Base):
    """What is known of a model besides what it is. None of it touches the model's version.

    ``proxy_version`` is the version that the proxy serves, ``proxy_epoch`` tells entries of the same content apart, and
    ``proxy_message`` what went wrong the last time. ``test_version`` is the version that the last test was of, or a
    later one that is called in the same way.
    """

    __tablename__ = "model_states"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("models.id", name="model_states_model_fkey", ondelete="CASCADE"), primary_key=True
    )
    proxy_version: Mapped[int | None]
    proxy_epoch: Mapped[int] = mapped_column(default=0)
    proxy_message: Mapped[str] = mapped_column(Text, default="")
    proxy_at: Mapped[datetime | None]
    test_ok: Mapped[bool | None]
    test_kind: Mapped[str | None] = mapped_column(String(30))
    test_message: Mapped[str | None] = mapped_column(Text)
    test_ms: Mapped[int | None]
    test_at: Mapped[datetime | None]
    test_version: Mapped[int | None]


class DefaultRow(Base):
    """The default of a type: at most one, of that type and active, by construction."""

    __tablename__ = "defaults"
    __table_args__ = (
        CheckConstraint("status = 'active'", name="active"),
        ForeignKeyConstraint(
            ["model_id", "type", "status"], ["models.id", "models.type", "models.status"], name="defaults_model_fkey"
        ),
    )

    type: Mapped[str] = mapped_column(String(20), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(20), default=Status.ACTIVE.value)


class KnowledgeBaseRow(Base):
    """A knowledge base; ``contract`` is the embedding contract that its vectors were made with."""

    __tablename__ = "knowledge_bases"
    __table_args__ = (
        CheckConstraint("length(id) BETWEEN 1 AND 255", name="id_length"),
        CheckConstraint("length(name) BETWEEN 1 AND 255", name="name_length"),
    )

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    contract: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    updated_at: Mapped[datetime]


class BindingRow(Base):
    """Which model a knowledge base uses for a type."""

    __tablename__ = "bindings"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "type"], ["models.id", "models.type"], name="bindings_model_fkey"),
        Index("bindings_model_id_idx", "model_id"),
    )

    knowledge_base_id: Mapped[str] = mapped_column(
        ForeignKey("knowledge_bases.id", name="bindings_knowledge_base_fkey", ondelete="CASCADE"), primary_key=True
    )
    type: Mapped[str] = mapped_column(String(20), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(36))


class AuditRow(Base):
    """One entry of the append-only log. ``changes`` and ``context`` are kept as the exact text that was hashed.

    What cannot be read, since it was not written here, is None.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_log_actor_idx", "actor", "seq"),
        Index("audit_log_action_idx", "action", "seq"),
        Index("audit_log_target_idx", "target_id", "seq"),
        Index("audit_log_target_name_idx", "target_name", "seq"),
        Index("audit_log_at_idx", "at"),
    )

    # SQLite aliases its rowid only for the exact type INTEGER
    seq: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime] = mapped_column(_GUARDED_MOMENT)
    actor: Mapped[str] = mapped_column(_guarded(String(255)))
    actor_role: Mapped[str] = mapped_column(_guarded(String(20)))
    actor_via: Mapped[str] = mapped_column(_guarded(String(50)))
    action: Mapped[str] = mapped_column(_guarded(String(50)))
    target_kind: Mapped[str] = mapped_column(_guarded(String(20)))
    target_id: Mapped[str] = mapped_column(_guarded(String(255)))
    target_name: Mapped[str] = mapped_column(_guarded(String(255)))
    changes: Mapped[str] = mapped_column(_guarded(Text()))
    context: Mapped[str] = mapped_column(_guarded(Text()))
    prev_hash: Mapped[str] = mapped_column(_guarded(String(64)))
    hash: Mapped[str] = mapped_column(_guarded(String(64)))
