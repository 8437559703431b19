"""The service's configuration, read from environment variables and validated as a whole."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Text = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
_ARN = r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+$"


class ConfigurationError(Exception):
    """Every problem of the environment, as `VARIABLE: reason`, without any value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The service cannot start; its environment is invalid:\n{lines}")


class Database(BaseSettings):
    """Connection to PostgreSQL, from `DATABASE_URL` or from separate `DATABASE_*` variables.

    The password comes from one of three sources, or none (trust authentication). `password_file`
    and `secret_arn` (a Secrets Manager secret in RDS's JSON form) are read for new connections, so
    that a rotated password needs no restart.
    """

    model_config = SettingsConfigDict(
        env_prefix="DATABASE_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    host: Text
    port: int = Field(default=5432, ge=1, le=65535)
    name: Text
    user: Text | None = None
    password: SecretStr | None = None
    password_file: FilePath | None = None
    secret_arn: str | None = Field(default=None, pattern=_ARN)
    sslmode: SslMode = "require"
    sslrootcert: str | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        sources = (self.password, self.password_file, self.secret_arn)
        if sum(source is not None for source in sources) > 1:
            raise ValueError("set one of PASSWORD, PASSWORD_FILE and SECRET_ARN")
        if self.user is None and self.secret_arn is None:
            raise ValueError("USER is required unless SECRET_ARN is set")
        return self


class Config(BaseSettings):
    """Configuration of one process; times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="APP_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    environment: Annotated[Text, Field(max_length=40)] = "local"
    version: Text = "unknown"
    commit: Text = "unknown"
    image_digest: str = Field(default="unknown", pattern=r"^(unknown|sha256:[0-9a-f]{64})$")
    pod: Text = Field(default="unknown", validation_alias="POD_NAME")
    bind: Text = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=8, ge=1, le=256)
    """Threads of each worker; a client that sends its body slowly occupies one."""
    trusted_proxies: int = Field(default=0, ge=0, le=8)
    """Number of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database: Database | None = None

    @field_validator("image_digest", mode="before")
    @classmethod
    def _digest_only(cls, value: str) -> str:
        """Accept `repository@sha256:…`, as Kubernetes names images."""
        return value.rsplit("@", 1)[-1]


def load() -> Config:
    """Read the configuration from the environment. Raises ConfigurationError."""
    problems = [
        f"{name}: not a variable of this service (see app/README.md)"
        for name in sorted(os.environ)
        if name.startswith(("APP_", "DATABASE_")) and name not in _VARIABLES
    ]
    database, config = None, None
    if any(os.environ.get(name) for name in _VARIABLES if name.startswith("DATABASE_")):
        try:
            database = Database(**_from_url())
        except ValidationError as error:
            problems += _problems(error, "DATABASE_")
        except ConfigurationError as error:
            problems += error.problems
    try:
        config = Config()
    except ValidationError as error:
        problems += _problems(error, "APP_")
    if problems or config is None:
        raise ConfigurationError(problems)
    return config.model_copy(update={"database": database})


_VARIABLES = {
    "DATABASE_URL",
    *(f"DATABASE_{name.upper()}" for name in Database.model_fields),
    *(f"APP_{name.upper()}" for name in Config.model_fields if name not in ("pod", "database")),
}


def _problems(error: ValidationError, prefix: str) -> list[str]:
    return [
        f"{prefix}{str(item['loc'][0]).upper() if item['loc'] else '*'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)
    ]


def _from_url() -> Mapping[str, Any]:
    """Return the fields of DATABASE_URL. Raises ConfigurationError."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        return {}
    others = [name for name in _VARIABLES if name.startswith("DATABASE_") and os.environ.get(name)]
    conflicts = set(others) - {"DATABASE_URL", "DATABASE_SSLMODE", "DATABASE_SSLROOTCERT"}
    if conflicts:
        names = ", ".join(sorted(conflicts))
        raise ConfigurationError([f"DATABASE_URL: set it or {names}, not both"])
    try:
        fields = conninfo_to_dict(url.replace("postgresql+psycopg:", "postgresql:", 1))
    except ProgrammingError:  # its message can have the password
        fields = {}
    if "://" not in url or not fields.get("host") or not fields.get("dbname"):
        form = "postgresql://user:password@host:5432/name"
        raise ConfigurationError([f"DATABASE_URL: the form is {form}"])
    fields["name"] = fields.pop("dbname")
    if set(fields) - {"host", "port", "name", "user", "password", "sslmode", "sslrootcert"}:
        raise ConfigurationError(["DATABASE_URL: only sslmode and sslrootcert are options"])
    return fields
