"""Adds a keyed fingerprint of each API key, none for keys saved before, and drops two unused columns."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("models", sa.Column("api_key_print", sa.String(16)))
    op.drop_column("model_states", "proxy_at")
    op.drop_column("model_states", "test_kind")
