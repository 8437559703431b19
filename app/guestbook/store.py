"""The guestbook's table and queries."""

import sqlalchemy as sa

from app.db.engine import Engine
from app.guestbook.models import MESSAGE_LENGTH, NAME_LENGTH, Draft, Entry

metadata = sa.MetaData()
entries = sa.Table(
    "guestbook_entry",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.String(NAME_LENGTH), nullable=False),
    sa.Column("message", sa.String(MESSAGE_LENGTH), nullable=False),
    sa.Column(
        "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
    ),
)


class Guestbook:
    """Entries in PostgreSQL. Every method may raise DatabaseUnavailableError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, draft: Draft) -> Entry:
        """Store a draft in a committed transaction."""
        values = {"name": draft.name, "message": draft.message}
        statement = sa.insert(entries).values(values).returning(*entries.c)
        with self._engine.transaction() as connection:
            return Entry(*connection.execute(statement).one())

    def get(self, entry_id: int) -> Entry | None:
        """Return an entry, or None."""
        statement = sa.select(entries).where(entries.c.id == entry_id)
        with self._engine.autocommit() as connection:
            row = connection.execute(statement).one_or_none()
        return Entry(*row) if row is not None else None

    def newest(self, limit: int, before: int | None = None) -> list[Entry]:
        """Return up to `limit` entries, newest first, optionally with IDs below `before`."""
        statement = sa.select(entries).order_by(entries.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(entries.c.id < before)
        with self._engine.autocommit() as connection:
            return [Entry(*row) for row in connection.execute(statement)]
