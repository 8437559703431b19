"""Connections to PostgreSQL: a pool that fails fast while the database is unavailable."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.config import Database
from app.db.credentials import Credentials, CredentialsError
from app.errors import DatabaseUnavailableError

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 3
RECYCLE_SECONDS = 1800
RETRY_SECONDS = 1.0
"""After a failed connection, others fail for this time without an attempt, which would block."""


class Engine:
    """A pool of connections, opened on first use."""

    def __init__(self, database: Database, pool_size: int) -> None:
        self._database = database
        self._credentials = Credentials(database)
        self._lock = threading.Lock()
        self._retry_at = 0.0
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",  # reads, the most frequent, need no other level
        )
        self._transactional = self.engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction. Raises DatabaseUnavailableError."""
        with _translated_errors(), self._transactional.begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Yield a connection for single statements, without the round trips of a transaction.

        Raises DatabaseUnavailableError.
        """
        with _translated_errors(), self.engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise DatabaseUnavailableError unless the database has the guestbook's table."""
        with self.autocommit() as connection:
            if connection.scalar(text("SELECT to_regclass('guestbook_entry')")) is None:
                raise DatabaseUnavailableError("no tables: run `python3 -m app.db.migrate`")

    def _connect(self) -> psycopg.Connection[TupleRow]:
        with self._lock:
            if time.monotonic() < self._retry_at:
                raise DatabaseUnavailableError("the last connection failed a moment ago")
        try:
            return self._open_with_current_password()
        except (psycopg.OperationalError, CredentialsError) as error:
            with self._lock:
                self._retry_at = time.monotonic() + RETRY_SECONDS
            raise DatabaseUnavailableError(_reason(error)) from error

    def _open_with_current_password(self) -> psycopg.Connection[TupleRow]:
        try:
            return self._open()
        except psycopg.OperationalError:
            if not self._credentials.forget():  # the cached password may have been rotated
                raise
            return self._open()

    def _open(self) -> psycopg.Connection[TupleRow]:
        user, password = self._credentials.current()
        database = self._database
        return psycopg.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=user,
            password=password,
            sslmode=database.sslmode,
            sslrootcert=database.sslrootcert,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="app",
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c lock_timeout=3s"
            " -c idle_in_transaction_session_timeout=30s -c timezone=UTC",
            # Detects a lost peer in seconds instead of the kernel's two hours.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise DatabaseUnavailableError for the errors of an unavailable database."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise DatabaseUnavailableError(_reason(error)) from error
    except DBAPIError as error:
        # 42P01, 42703: missing migration; 25006: read-only standby; 57…: shutdown.
        state = getattr(error.orig, "sqlstate", None) or ""
        unavailable = state in ("42P01", "42703", "25006") or state.startswith("57")
        if error.connection_invalidated or unavailable:
            raise DatabaseUnavailableError(_reason(error)) from error
        raise


def _reason(error: BaseException) -> str:
    """Return one line for the log, without statement and parameters."""
    cause = getattr(error, "orig", None) or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
