"""Alembic runs this. `registry.store` hands it the connection: a migration and its lock share a transaction."""

from alembic import context

from registry.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
