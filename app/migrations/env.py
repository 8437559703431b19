"""Alembic's entry: runs the migrations on the connection that app.migrate holds, inside its transaction and lock."""

from alembic import context

from app.guestbook import metadata

_connection = context.config.attributes.get("connection")
if _connection is None:
    raise SystemExit("Run `python3 -m app.migrate`: the migrations need its lock.")
context.configure(connection=_connection, target_metadata=metadata)
context.run_migrations()
