"""The tables, declared for SQLAlchemy. Constraints have names, by which errors are recognized.

An edit by SQL can put any value into a row, and SQLite accepts any type in any column. A value of the wrong type is
read as `UNREADABLE`, or as the column's substitute; only in the store's own row it is an error.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from registry.errors import StoredValueError
from registry.records import ModelType, Status

TYPES = ", ".join(f"'{value}'" for value in ModelType)
STATUSES = ", ".join(f"'{value}'" for value in Status)


class Unreadable(str):
    """The type of `UNREADABLE`: a text in place of a value of the wrong type."""

    __slots__ = ()


UNREADABLE: Final = Unreadable("(cannot be read)")
LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
"""The substitute for an unreadable time in a column that is never None."""


def read_object(text: str | bytes) -> Any:
    """The JSON object in a text, or `UNREADABLE`."""
    try:
        found = json.loads(text)
    except (RecursionError, TypeError, ValueError):
        return UNREADABLE
    return found if isinstance(found, dict) else UNREADABLE


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored as UTC with microseconds and read back aware, on both stores."""

    impl = DateTime(timezone=True)
    cache_ok = True
    python_type = datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class WrittenDateTime(UtcDateTime):
    """As `UtcDateTime`, but on SQLite, where a time can have several notations, it reads only the one it writes."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        return _moment if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None or found.isoformat(" ", "microseconds") != text:
        raise ValueError("another notation")
    return found.replace(tzinfo=UTC)


class Guarded(TypeDecorator[Any]):
    """A column in which a value of the wrong type, from an edit by SQL, is read as a substitute.

    Args:
        impl: the column's type.
        instead: the substitute.
    """

    impl: Any = String
    cache_ok = True

    def __init__(self, impl: TypeEngine[Any], instead: Any = UNREADABLE) -> None:
        super().__init__()
        self.impl, self.instead = impl, instead
        self._kind = dict if isinstance(impl, JSON) else impl.python_type

    def result_processor(self, dialect: Dialect, coltype: Any) -> Any:
        kind, unreadable = self._kind, self.unreadable

        def checked(value: Any) -> Any:
            return value if type(value) is kind or value is None else unreadable()

        read = self.impl_instance.result_processor(dialect, coltype)
        if read is None:
            return checked
        usual = read

        def guarded(value: Any) -> Any:
            try:
                found = None if value is None else usual(value)
            except (ArithmeticError, AttributeError, TypeError, ValueError):
                return unreadable()
            return checked(found)

        return guarded

    def unreadable(self) -> Any:
        """The substitute for a value of the wrong type."""
        return self.instead


class Vital(Guarded):
    """A column in which a value of the wrong type is an error."""

    cache_ok = True

    def unreadable(self) -> Any:
        """Raise StoredValueError."""
        raise StoredValueError(
            "The store's own row was edited and cannot be read. Fix it in the database, in the table “store”, or "
            "restore the store from a backup."
        )


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
    """The single row with the registry's id, the store's encrypted secret, and the head of the audit log."""

    __tablename__ = "store"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    registry_id: Mapped[str] = mapped_column(Vital(String(36)))
    secret: Mapped[str | None] = mapped_column(Guarded(Text()))
    secret_key_id: Mapped[str | None] = mapped_column(Guarded(String(12)))
    audit_seq: Mapped[int] = mapped_column(Vital(BigInteger()))
    audit_hash: Mapped[str] = mapped_column(Vital(String(64)))


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

    id: Mapped[str] = mapped_column(Guarded(String(36)), primary_key=True)
    type: Mapped[str] = mapped_column(Guarded(String(20)))
    provider: Mapped[str] = mapped_column(Guarded(String(50)))
    name: Mapped[str] = mapped_column(Guarded(String(255)))
    name_key: Mapped[str] = mapped_column(Guarded(Text()))
    model_id: Mapped[str] = mapped_column(Guarded(String(255)))
    api_endpoint: Mapped[str | None] = mapped_column(Guarded(String(500)))
    connection: Mapped[dict[str, Any]] = mapped_column(Guarded(JSON()))
    config: Mapped[dict[str, Any]] = mapped_column(Guarded(JSON()))
    api_key: Mapped[str | None] = mapped_column(Guarded(Text()))
    api_key_id: Mapped[str | None] = mapped_column(Guarded(String(12)))
    api_key_print: Mapped[str | None] = mapped_column(Guarded(String(16), None))
    status: Mapped[str] = mapped_column(Guarded(String(20)))
    version: Mapped[int] = mapped_column(Guarded(Integer()))
    created_at: Mapped[datetime] = mapped_column(Guarded(UtcDateTime(), LONG_AGO))
    updated_at: Mapped[datetime] = mapped_column(Guarded(UtcDateTime(), LONG_AGO))


class ModelStateRow(Base):
    """State of a model besides its definition. Writing it does not change the model's version.

    ``proxy_version`` is the version that the proxy serves, ``proxy_epoch`` distinguishes entries with the same content,
    and ``proxy_message`` is the last error. ``test_version`` is the version that was tested last, or a later one with
    the same fields that affect the call.
    """

    __tablename__ = "model_states"

    model_ref: Mapped[str] = mapped_column(
        "model_id", ForeignKey("models.id", name="model_states_model_fkey", ondelete="CASCADE"), primary_key=True
    )
    proxy_version: Mapped[int | None] = mapped_column(Guarded(Integer(), None))
    proxy_epoch: Mapped[int] = mapped_column(Guarded(Integer(), 0), default=0)
    proxy_message: Mapped[str] = mapped_column(Guarded(Text(), ""), default="")
    test_ok: Mapped[bool | None] = mapped_column(Guarded(Boolean(), None))
    test_message: Mapped[str | None] = mapped_column(Guarded(Text(), None))
    test_ms: Mapped[int | None] = mapped_column(Guarded(Integer(), None))
    test_at: Mapped[datetime | None] = mapped_column(Guarded(UtcDateTime(), None))
    test_version: Mapped[int | None] = mapped_column(Guarded(Integer(), None))


class DefaultRow(Base):
    """The default of a type. Constraints ensure that there is at most one, active and of that type."""

    __tablename__ = "defaults"
    __table_args__ = (
        CheckConstraint("status = 'active'", name="active"),
        ForeignKeyConstraint(
            ["model_id", "type", "status"], ["models.id", "models.type", "models.status"], name="defaults_model_fkey"
        ),
    )

    type: Mapped[str] = mapped_column(Guarded(String(20)), primary_key=True)
    model_ref: Mapped[str] = mapped_column("model_id", Guarded(String(36)))
    status: Mapped[str] = mapped_column(Guarded(String(20)), default=Status.ACTIVE.value)


class KnowledgeBaseRow(Base):
    """A knowledge base; ``contract`` is the embedding contract of its vectors."""

    __tablename__ = "knowledge_bases"
    __table_args__ = (
        CheckConstraint("length(id) BETWEEN 1 AND 255", name="id_length"),
        CheckConstraint("length(name) BETWEEN 1 AND 255", name="name_length"),
    )

    id: Mapped[str] = mapped_column(Guarded(String(255)), primary_key=True)
    name: Mapped[str] = mapped_column(Guarded(String(255)))
    contract: Mapped[dict[str, Any] | None] = mapped_column(Guarded(JSON(none_as_null=True)))
    updated_at: Mapped[datetime] = mapped_column(Guarded(UtcDateTime(), LONG_AGO))


class BindingRow(Base):
    """The model that a knowledge base uses for a type."""

    __tablename__ = "bindings"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "type"], ["models.id", "models.type"], name="bindings_model_fkey"),
        Index("bindings_model_id_idx", "model_id"),
    )

    knowledge_base_id: Mapped[str] = mapped_column(
        ForeignKey("knowledge_bases.id", name="bindings_knowledge_base_fkey", ondelete="CASCADE"), primary_key=True
    )
    type: Mapped[str] = mapped_column(Guarded(String(20)), primary_key=True)
    model_ref: Mapped[str] = mapped_column("model_id", Guarded(String(36)))


class AuditRow(Base):
    """One entry of the append-only log. ``changes`` and ``context`` are stored as the exact text that was hashed.

    A value of the wrong type, which the registry did not write, is read as None.
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
    at: Mapped[datetime] = mapped_column(Guarded(WrittenDateTime(), None))
    actor: Mapped[str] = mapped_column(Guarded(String(255), None))
    actor_role: Mapped[str] = mapped_column(Guarded(String(20), None))
    actor_via: Mapped[str] = mapped_column(Guarded(String(50), None))
    action: Mapped[str] = mapped_column(Guarded(String(50), None))
    target_kind: Mapped[str] = mapped_column(Guarded(String(20), None))
    target_id: Mapped[str] = mapped_column(Guarded(String(255), None))
    target_name: Mapped[str] = mapped_column(Guarded(String(255), None))
    changes: Mapped[str] = mapped_column(Guarded(Text(), None))
    context: Mapped[str] = mapped_column(Guarded(Text(), None))
    prev_hash: Mapped[str] = mapped_column(Guarded(String(64), None))
    hash: Mapped[str] = mapped_column(Guarded(String(64), None))
