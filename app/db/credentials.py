"""The database's user and password, from the configuration, a file or Secrets Manager."""

import json
import threading
import time

from app.config import Database

CACHE_SECONDS = 60.0


class CredentialsError(Exception):
    """The password is unavailable; the message contains no secret."""


class Credentials:
    """Returns user and password for new connections; caches a secret for CACHE_SECONDS."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cached: tuple[str | None, str] | None = None
        self._expires = 0.0

    def current(self) -> tuple[str | None, str | None]:
        """Return user and password. Raises CredentialsError; blocks for seconds at most."""
        database = self._database
        if database.password_file is not None:
            try:
                return database.user, database.password_file.read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = type(error).__name__
                raise CredentialsError(f"DATABASE_PASSWORD_FILE: {reason}") from None
        if database.secret_arn is None:
            password = database.password
            return database.user, password.get_secret_value() if password else None
        with self._lock:
            if self._cached is None or time.monotonic() >= self._expires:
                self._cached = self._read_secret(database.secret_arn)
                self._expires = time.monotonic() + CACHE_SECONDS
            return self._cached

    def forget(self) -> bool:
        """Drop the cached secret and return whether there was one."""
        with self._lock:
            cached, self._cached = self._cached, None
            return cached is not None

    def _read_secret(self, arn: str) -> tuple[str | None, str]:
        """Read the secret with botocore's credentials, such as EKS Pod Identity's."""
        # A service without a secret starts sooner without botocore.
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config as ClientConfig  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        limits = ClientConfig(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
        try:
            client = botocore.session.get_session().create_client(
                "secretsmanager", region_name=arn.split(":")[3], config=limits
            )
            response = client.get_secret_value(SecretId=arn)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise CredentialsError(f"Secrets Manager refused {arn}: {code}") from None
        except BotoCoreError as error:
            raise CredentialsError(f"Secrets Manager: {type(error).__name__}") from None
        try:
            secret = json.loads(response["SecretString"])
            user, password = secret.get("username"), secret["password"]
        except (KeyError, ValueError, AttributeError, TypeError):
            user, password = None, None
        if not isinstance(password, str) or not isinstance(user, str | None):
            raise CredentialsError(f"the secret {arn} has no `username` and `password`")
        return self._database.user or user, password
