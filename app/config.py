"""The service's configuration: read from the environment once, validated whole, secrets kept out of every message."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+")
_DATABASE_PARTS: Final = (
    "DATABASE_HOST",
    "DATABASE_PORT",
    "DATABASE_NAME",
    "DATABASE_USER",
    "DATABASE_PASSWORD",
    "DATABASE_PASSWORD_FILE",
    "DATABASE_SECRET_ARN",
)
_PASSWORDS: Final = ("DATABASE_PASSWORD", "DATABASE_PASSWORD_FILE", "DATABASE_SECRET_ARN")
_KNOWN: Final = frozenset(
    {
        "APP_ENVIRONMENT",
        "APP_VERSION",
        "APP_COMMIT",
        "APP_IMAGE_DIGEST",
        "APP_PORT",
        "APP_BIND",
        "APP_WORKERS",
        "APP_THREADS",
        "APP_DRAIN_SECONDS",
        "APP_KEEPALIVE_SECONDS",
        "APP_TRUSTED_PROXIES",
        "APP_LOG_LEVEL",
        "DATABASE_URL",
        "DATABASE_SSLMODE",
        "DATABASE_SSLROOTCERT",
        *_DATABASE_PARTS,
    }
)


class ConfigurationError(Exception):
    """Every problem of the environment at once. `problems` has one sentence each, never a secret's value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The service can't start, its environment has {len(problems)} problem(s):\n{lines}")


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where PostgreSQL is and which one of three sources gives the password (none: trust or peer authentication)."""

    host: str
    port: int
    name: str
    user: str | None
    """None only with `secret_arn`: the secret then names the user."""
    sslmode: str
    sslrootcert: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    """Read again for each new connection, so that a rotated password needs no restart."""
    secret_arn: str | None = None
    """A Secrets Manager secret in RDS's JSON form (`username`, `password`)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What one process of the service needs to know. Seconds are seconds."""

    environment: str = "local"
    version: str = "unknown"
    commit: str = "unknown"
    image_digest: str = "unknown"
    pod: str = "unknown"
    bind: str = "127.0.0.1"
    """Address to listen on; the image sets 0.0.0.0, since inside a container there is no other way to be reached."""
    port: int = 8080
    workers: int = 2
    threads: int = 2
    drain_seconds: float = 5.0
    """How long a process goes on accepting after SIGTERM, so that load balancers learn that it leaves."""
    keepalive_seconds: int = 75
    """Longer than a load balancer's own idle timeout (AWS ALB: 60 s), so that it is never us who close first."""
    trusted_proxies: int = 0
    """How many proxies in front may be believed about X-Forwarded-For and -Proto."""
    log_level: str = "info"
    database: Database | None = None


class _Reader:
    """Takes values out of the environment and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # An empty variable is an unset one: Kubernetes and compose can't leave one out conditionally.
        self.values = {name: value for name, value in environ.items() if value != ""}
        self.problems: list[str] = []

    def text(self, name: str, default: str, longest: int = 128) -> str:
        value = self.values.get(name, default)
        if len(value) > longest or not value.isprintable():
            self.problems.append(f"{name} must be printable and at most {longest} characters long")
            return default
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.values.get(name)
        if value is None:
            return default
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not least <= int(value) <= most:
            self.problems.append(f"{name} must be a whole number from {least} to {most}, not {value[:40]!r}")
            return default
        return int(value)

    def seconds(self, name: str, default: float, most: float) -> float:
        value = self.values.get(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= most:
            self.problems.append(f"{name} must be a number of seconds from 0 to {most:g}, not {value[:40]!r}")
            return default
        return number

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.values.get(name, default)
        if value not in choices:
            self.problems.append(f"{name} must be one of {', '.join(choices)}, not {value[:40]!r}")
            return default
        return value


def load(environ: Mapping[str, str]) -> Config:
    """Read the configuration. Raises ConfigurationError with every problem found, not only the first."""
    reader = _Reader(environ)
    digest = reader.text("APP_IMAGE_DIGEST", "unknown", 256)
    # "repository@sha256:…" is how Kubernetes names an image; the page shows the digest alone.
    digest = digest.rsplit("@", 1)[-1]
    if digest != "unknown" and not _DIGEST.fullmatch(digest):
        reader.problems.append("APP_IMAGE_DIGEST must be sha256: and 64 hexadecimal digits, or unset")
    for name in sorted(set(reader.values) - _KNOWN):
        if name.startswith(("APP_", "DATABASE_")):
            reader.problems.append(f"{name} is not a variable of this service (app/README.md lists them)")
    config = Config(
        environment=reader.text("APP_ENVIRONMENT", "local", 40),
        version=reader.text("APP_VERSION", "unknown"),
        commit=reader.text("APP_COMMIT", "unknown"),
        image_digest=digest,
        pod=reader.text("POD_NAME", "unknown", 253),
        bind=reader.text("APP_BIND", Config.bind),
        port=reader.number("APP_PORT", Config.port, 0, 65535),
        workers=reader.number("APP_WORKERS", Config.workers, 1, 64),
        threads=reader.number("APP_THREADS", Config.threads, 1, 256),
        drain_seconds=reader.seconds("APP_DRAIN_SECONDS", Config.drain_seconds, 300),
        keepalive_seconds=reader.number("APP_KEEPALIVE_SECONDS", Config.keepalive_seconds, 1, 3600),
        trusted_proxies=reader.number("APP_TRUSTED_PROXIES", 0, 0, 8),
        log_level=reader.choice("APP_LOG_LEVEL", Config.log_level, LOG_LEVELS),
        database=_database(reader),
    )
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return config


def _database(reader: _Reader) -> Database | None:
    sslmode = reader.choice("DATABASE_SSLMODE", "require", SSL_MODES)
    sslrootcert = reader.values.get("DATABASE_SSLROOTCERT")
    given = [name for name in _DATABASE_PARTS if name in reader.values]
    url = reader.values.get("DATABASE_URL")
    if url is not None:
        if given:
            reader.problems.append(f"DATABASE_URL and {', '.join(given)} are both set: set one or the other")
        return _from_url(reader, url, sslmode, sslrootcert)
    if not given:
        return None
    sources = [name for name in _PASSWORDS if name in reader.values]
    if len(sources) > 1:
        reader.problems.append(f"{', '.join(sources)} are set together: set one of them")
    arn = reader.values.get("DATABASE_SECRET_ARN")
    if arn is not None and not _SECRET_ARN.fullmatch(arn):
        reader.problems.append("DATABASE_SECRET_ARN must be the ARN of a Secrets Manager secret")
    required = ["DATABASE_HOST", "DATABASE_NAME"] if arn else ["DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER"]
    reader.problems.extend(
        f"{name} must be set too (because {given[0]} is)" for name in required if name not in reader.values
    )
    file = reader.values.get("DATABASE_PASSWORD_FILE")
    if file is not None and not Path(file).is_file():
        reader.problems.append(f"DATABASE_PASSWORD_FILE: there is no file {file}")
    return Database(
        host=reader.text("DATABASE_HOST", "", 253),
        port=reader.number("DATABASE_PORT", 5432, 1, 65535),
        name=reader.text("DATABASE_NAME", "", 63),
        user=reader.values.get("DATABASE_USER"),
        sslmode=sslmode,
        sslrootcert=sslrootcert,
        password=reader.values.get("DATABASE_PASSWORD"),
        password_file=Path(file) if file else None,
        secret_arn=arn,
    )


def _from_url(reader: _Reader, url: str, sslmode: str, sslrootcert: str | None) -> Database | None:
    shape = "DATABASE_URL must look like postgresql://user:password@host:5432/name"
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        reader.problems.append(shape)
        return None
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("postgresql", "postgres", "postgresql+psycopg") or not parts.hostname or not name:
        reader.problems.append(shape)
        return None
    if not parts.username:
        reader.problems.append(f"{shape}: the user is missing")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - {"sslmode", "sslrootcert"})
    if unknown:
        reader.problems.append(f"DATABASE_URL may carry sslmode and sslrootcert only, not {', '.join(unknown)}")
    if options.get("sslmode", sslmode) not in SSL_MODES:
        reader.problems.append(f"DATABASE_URL: sslmode must be one of {', '.join(SSL_MODES)}")
    return Database(
        host=parts.hostname,
        port=port,
        name=name,
        user=unquote(parts.username or "") or None,
        sslmode=options.get("sslmode", sslmode),
        sslrootcert=options.get("sslrootcert", sslrootcert),
        password=unquote(parts.password) if parts.password else None,
    )
