"""The guestbook's one table, and the three things done with it."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, MetaData, Row, String, Table, func, insert, select

from app.database import Store
from app.entry import MESSAGE_LENGTH, NAME_LENGTH, Draft, Entry

metadata = MetaData()
entries = Table(
    "guestbook_entry",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("message", String(MESSAGE_LENGTH), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


class Guestbook:
    """Entries in PostgreSQL. Every method raises DatabaseUnavailableError when the database can't be used now."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, draft: Draft) -> Entry:
        """Store a draft. When this returns, it is committed."""
        statement = insert(entries).values(name=draft.name, message=draft.message).returning(*entries.c)
        with self.store.transaction() as connection:
            return _entry(connection.execute(statement).one())

    def get(self, entry_id: int) -> Entry | None:
        """One entry, or None."""
        with self.store.transaction() as connection:
            row = connection.execute(select(entries).where(entries.c.id == entry_id)).one_or_none()
        return _entry(row) if row is not None else None

    def newest(self, limit: int, before: int | None = None) -> list[Entry]:
        """Up to `limit` entries, newest first, of those with an id below `before`."""
        statement = select(entries).order_by(entries.c.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(entries.c.id < before)
        with self.store.transaction() as connection:
            return [_entry(row) for row in connection.execute(statement)]


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(id=row.id, name=row.name, message=row.message, created_at=row.created_at)
