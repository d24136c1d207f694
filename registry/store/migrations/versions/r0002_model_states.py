"""The state of a model besides its definition: the version that the proxy serves, and the last test."""

import sqlalchemy as sa
from alembic import op

from registry.store.tables import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "model_states",
        sa.Column("model_id", sa.String(36), primary_key=True),
        sa.Column("proxy_version", sa.Integer),
        sa.Column("proxy_epoch", sa.Integer, nullable=False),
        sa.Column("proxy_message", sa.Text, nullable=False),
        sa.Column("proxy_at", UtcDateTime),
        sa.Column("test_ok", sa.Boolean),
        sa.Column("test_kind", sa.String(30)),
        sa.Column("test_message", sa.Text),
        sa.Column("test_ms", sa.Integer),
        sa.Column("test_at", UtcDateTime),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="model_states_model_fkey", ondelete="CASCADE"),
    )
