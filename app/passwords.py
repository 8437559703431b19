"""The database's password, from where the configuration says, fresh enough to follow a rotation without a restart."""

import threading
import time
from typing import Final

from app.config import Database
from app.secrets_manager import SecretUnavailableError, read_secret

CACHE_SECONDS: Final = 60.0


class PasswordUnavailableError(Exception):
    """There is no password to connect with now; the message says why and holds none."""


class Passwords:
    """Gives `(user, password)` for a new connection.

    A secret of Secrets Manager is kept for CACHE_SECONDS; `forget` drops it, for when PostgreSQL has refused it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cached: tuple[str | None, str] | None = None
        self._expires = 0.0

    def current(self) -> tuple[str | None, str | None]:
        """User and password. Raises PasswordUnavailableError; blocks for seconds at most (see app.secrets_manager)."""
        database = self._database
        if database.password_file is not None:
            try:
                return database.user, database.password_file.read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise PasswordUnavailableError(
                    f"DATABASE_PASSWORD_FILE can't be read: {type(error).__name__}"
                ) from None
        if database.secret_arn is None:
            return database.user, database.password
        with self._lock:
            if self._cached is None or time.monotonic() >= self._expires:
                self._cached = self._from_secret(database.secret_arn)
                self._expires = time.monotonic() + CACHE_SECONDS
            return self._cached

    def forget(self) -> bool:
        """Drop what is cached. True if something was: asking again may then give another password."""
        with self._lock:
            cached, self._cached = self._cached, None
            return cached is not None

    def _from_secret(self, arn: str) -> tuple[str | None, str]:
        try:
            secret = read_secret(arn)
        except SecretUnavailableError as error:
            raise PasswordUnavailableError(str(error)) from None
        user, password = secret.get("username"), secret.get("password")
        if not isinstance(password, str) or not isinstance(user, str | None):
            raise PasswordUnavailableError(f"the secret {arn} has no `username` and `password` texts")
        return self._database.user or user, password
