"""Migrates the database: `python3 -m app.db.migrate`, before the service is rolled out.

Idempotent, and safe for several pods at once, which wait for an advisory lock. Exit codes: 0
success, 1 unavailable database or failed migration, 2 invalid configuration.
"""

import logging
import logging.config
import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from app.config import ConfigurationError, load
from app.db.engine import Engine
from app.errors import DatabaseUnavailableError
from app.logs import logging_config

LOCK_ID = 0x6775_6573_7462_6F6B  # the same for every release
WAIT_SECONDS = 60.0
WAIT_AFTER_REFUSAL_SECONDS = 10.0
"""A refused password can be right shortly after a rotation, but not a minute later."""
STATEMENT_TIMEOUT = "10min"

_log = logging.getLogger("app.migrate")


def upgrade(engine: Engine) -> str:
    """Run the missing migrations in one transaction and return the revision.

    Raises DatabaseUnavailableError.
    """
    with engine.transaction() as connection:
        # Instead of the limits for requests: a migration waits for other pods and takes longer.
        connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK_ID})
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        settings = AlembicConfig()
        migrations = Path(__file__).parents[1] / "migrations"
        settings.set_main_option("script_location", str(migrations))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        return MigrationContext.configure(connection).get_current_revision() or "none"


def main() -> int:
    """Migrate, waiting up to WAIT_SECONDS for the database; return the exit code."""
    try:
        config = load()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.config.dictConfig(logging_config(config.log_level))
    if config.database is None:
        _log.info("no database is configured")
        return 0
    engine = Engine(config.database, pool_size=1)
    started = time.monotonic()
    while True:
        try:
            revision = upgrade(engine)
        except DatabaseUnavailableError as error:
            refused = "password authentication failed" in str(error)  # libpq has no code for it
            limit = WAIT_AFTER_REFUSAL_SECONDS if refused else WAIT_SECONDS
            if time.monotonic() - started >= limit:
                _log.error("the database is unavailable", extra={"reason": str(error)})
                return 1
            _log.info("waiting for the database", extra={"reason": str(error)})
            time.sleep(2)
        else:
            _log.info("the database is up to date", extra={"revision": revision})
            return 0


if __name__ == "__main__":
    sys.exit(main())
