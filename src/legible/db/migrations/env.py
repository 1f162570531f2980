"""Alembic's entry: runs migrations on the connection that `legible.db.session` hands over."""

from alembic import context

from legible.db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter most things in place: Alembic then copies the table.
    render_as_batch=True,
    # SQLite can roll DDL back, though Alembic believes it cannot.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
