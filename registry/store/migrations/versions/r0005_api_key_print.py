"""A keyed fingerprint beside each API key, which tells equal keys without opening them; none for those saved before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("models", sa.Column("api_key_print", sa.String(16)))
