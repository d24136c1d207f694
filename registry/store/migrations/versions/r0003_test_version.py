"""The version of a model that was tested last: the current one, if the model was not changed since the test."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("model_states", sa.Column("test_version", sa.Integer))
    op.execute(
        """UPDATE model_states SET test_version = (
             SELECT models.version FROM models
             WHERE models.id = model_states.model_id AND models.updated_at <= model_states.test_at)"""
    )
