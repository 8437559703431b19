"""Alembic's environment: runs migrations on app.db.migrate's locked connection."""

from alembic import context

from app.guestbook.store import metadata

_connection = context.config.attributes.get("connection")
if _connection is None:
    raise SystemExit("Run `python3 -m app.db.migrate`; migrations require its lock.")
context.configure(connection=_connection, target_metadata=metadata)
context.run_migrations()
