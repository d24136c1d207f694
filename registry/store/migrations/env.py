"""Run by Alembic. `registry.store.store` passes the connection, so a migration and its lock share a transaction."""

from alembic import context

from registry.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
