"""The way to PostgreSQL: a pool that notices dead connections, fails fast while the database is away, and recovers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import PAGESIZE, mmap
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.config import Database
from app.errors import DatabaseUnavailableError
from app.passwords import Passwords, PasswordUnavailableError

CONNECT_TIMEOUT_SECONDS: Final = 3
STATEMENT_TIMEOUT_SECONDS: Final = 5
POOL_TIMEOUT_SECONDS: Final = 3
RECYCLE_SECONDS: Final = 1800
# While the database is away one thread tries to connect, at most once in this time, and all others fail at once:
# threads that queue up behind a dead host would take /livez down with them. When another worker gets through, it's over.
BACK_OFF_SECONDS: Final = 1.0


class Store:
    """Connections to one PostgreSQL database, for one process. Opens none before the first use, so it may be forked."""

    def __init__(self, database: Database, pool_size: int) -> None:
        self._database = database
        self._passwords = Passwords(database)
        self._lock = threading.Lock()
        self._down = False
        self._trying = False
        self._failed_at = 0.0  # when the last failed attempt began
        self._retry_at = 0.0
        # When any worker last connected: memory that processes forked from here on share. Without it one worker could
        # say on /readyz that the database is back, while another still turns requests away.
        self._reached_at = memoryview(mmap(-1, PAGESIZE)).cast("d")
        self.engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, committed at the end. Raises DatabaseUnavailableError for whatever is the database's own trouble."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailableError(_reason(error)) from error
        except DBAPIError as error:
            # 42P01: the tables are missing; 25006: a read-only standby; 57…: an administrator is shutting it down.
            state = getattr(error.orig, "sqlstate", None) or ""
            if error.connection_invalidated or state in ("42P01", "42703", "25006") or state.startswith("57"):
                raise DatabaseUnavailableError(_reason(error)) from error
            raise

    def check(self) -> None:
        """Raise DatabaseUnavailableError unless the database answers and has the guestbook's table."""
        with self.transaction() as connection:
            if connection.scalar(text("SELECT to_regclass('guestbook_entry')")) is None:
                raise DatabaseUnavailableError("the tables are missing: run `python3 -m app.migrate`")

    def _connect(self) -> psycopg.Connection[Any]:
        began = time.monotonic()
        with self._lock:
            waiting = self._down and (self._trying or began < self._retry_at)
            if waiting and self._reached_at[0] < self._failed_at:
                raise DatabaseUnavailableError("the last attempt to connect failed a moment ago")
            self._trying = True
        down = True
        try:
            connection = self._attempt()
            down = False
            self._reached_at[0] = time.monotonic()
        except (psycopg.OperationalError, PasswordUnavailableError) as error:
            raise DatabaseUnavailableError(_reason(error)) from error
        finally:
            with self._lock:
                self._down, self._trying = down, False
                if down:
                    self._failed_at = began
                self._retry_at = time.monotonic() + BACK_OFF_SECONDS
        return connection

    def _attempt(self) -> psycopg.Connection[Any]:
        try:
            return self._open()
        except psycopg.OperationalError:
            # Perhaps the password was rotated: with a fresh one, once more.
            if not self._passwords.forget():
                raise
            return self._open()

    def _open(self) -> psycopg.Connection[Any]:
        user, password = self._passwords.current()
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
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
            " -c lock_timeout=3s -c idle_in_transaction_session_timeout=30s -c timezone=UTC",
            # A peer that vanished without a word is noticed in seconds, not after the kernel's two hours.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )


def _reason(error: BaseException) -> str:
    """One line for the log, without the statement or its parameters."""
    cause = getattr(error, "orig", None) or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
