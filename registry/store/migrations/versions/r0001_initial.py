"""Models, defaults, knowledge bases and the append-only audit log."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from registry.store.tables import UtcDateTime

revision = "0001"
down_revision = None

_TYPES = "'embedding', 'generation', 'ner'"
_STATUSES = "'active', 'inactive', 'deprecated'"

_SQLITE_GUARDS = (
    """CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
       BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END""",
    """CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
       BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END""",
    # INSERT OR REPLACE deletes without firing the delete trigger: only an entry after the last is accepted
    """CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log
       WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq >= NEW.seq)
       BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END""",
)
_POSTGRESQL_GUARDS = (
    """CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation'; END $$""",
    """CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log
       FOR EACH ROW EXECUTE FUNCTION audit_log_only_grows()""",
    """CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
       FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows()""",
)


def upgrade() -> None:
    op.create_table(
        "store",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("registry_id", sa.String(36), nullable=False),
        sa.Column("secret", sa.Text),
        sa.Column("secret_key_id", sa.String(12)),
        sa.Column("audit_seq", sa.BigInteger, nullable=False),
        sa.Column("audit_hash", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("store_one_row_check")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("provider", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("model_id", sa.String(255), nullable=False),
        sa.Column("api_endpoint", sa.String(500)),
        sa.Column("connection", sa.JSON, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("api_key", sa.Text),
        sa.Column("api_key_id", sa.String(12)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("name_key", name="models_name_key"),
        sa.UniqueConstraint("id", "type", name="models_id_type_key"),
        sa.UniqueConstraint("id", "type", "status", name="models_id_type_status_key"),
        sa.CheckConstraint(f"type IN ({_TYPES})", name=op.f("models_type_check")),
        sa.CheckConstraint(f"status IN ({_STATUSES})", name=op.f("models_status_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 255", name=op.f("models_name_length_check")),
        sa.CheckConstraint("length(model_id) BETWEEN 1 AND 255", name=op.f("models_model_id_length_check")),
        sa.CheckConstraint("version >= 1", name=op.f("models_version_check")),
        sa.CheckConstraint("(api_key IS NULL) = (api_key_id IS NULL)", name=op.f("models_api_key_id_check")),
    )
    op.create_index("models_provider_idx", "models", ["provider"])
    op.create_table(
        "defaults",
        sa.Column("type", sa.String(20), primary_key=True),
        sa.Column("model_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.CheckConstraint("status = 'active'", name=op.f("defaults_active_check")),
        sa.ForeignKeyConstraint(
            ["model_id", "type", "status"], ["models.id", "models.type", "models.status"], name="defaults_model_fkey"
        ),
    )
    op.create_table(
        "knowledge_bases",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("contract", sa.JSON),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 255", name=op.f("knowledge_bases_id_length_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 255", name=op.f("knowledge_bases_name_length_check")),
    )
    op.create_table(
        "bindings",
        sa.Column("knowledge_base_id", sa.String(255), primary_key=True),
        sa.Column("type", sa.String(20), primary_key=True),
        sa.Column("model_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"], ["knowledge_bases.id"], name="bindings_knowledge_base_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id", "type"], ["models.id", "models.type"], name="bindings_model_fkey"),
    )
    op.create_index("bindings_model_id_idx", "bindings", ["model_id"])
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("actor_role", sa.String(20), nullable=False),
        sa.Column("actor_via", sa.String(50), nullable=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("target_kind", sa.String(20), nullable=False),
        sa.Column("target_id", sa.String(255), nullable=False),
        sa.Column("target_name", sa.String(255), nullable=False),
        sa.Column("changes", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    for name in ("actor", "action", "target_id", "target_name"):
        op.create_index(f"audit_log_{name.removesuffix('_id')}_idx", "audit_log", [name, "seq"])
    op.create_index("audit_log_at_idx", "audit_log", ["at"])
    for statement in _SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_GUARDS:
        op.execute(statement)
    op.execute(
        sa.text("INSERT INTO store (id, registry_id, audit_seq, audit_hash) VALUES (1, :id, 0, :genesis)").bindparams(
            id=str(uuid4()), genesis="0" * 64
        )
    )
