"""Brings the database to the schema this release needs: `python3 -m app.migrate`, before the service is rolled out.

Safe to run twice (the second run finds nothing to do) and from several pods at once (they wait for each other on a
PostgreSQL advisory lock). Exit codes: 0 done or nothing to do, 1 the database or a migration failed, 2 configuration.
"""

import logging
import logging.config
import os
import sys
import time
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from app.config import ConfigurationError, load
from app.database import Store
from app.errors import DatabaseUnavailableError
from app.logs import logging_config

LOCK: Final = 0x6775_6573_7462_6F6B  # "guestbok": any number, as long as every release uses the same one
ATTEMPTS_FOR_SECONDS: Final = 60.0
REFUSED_FOR_SECONDS: Final = 10.0
"""A password that PostgreSQL refuses is seldom right a minute later; a rotation under way takes seconds."""
STATEMENT_TIMEOUT: Final = "10min"

_log = logging.getLogger("app.migrate")


def upgrade(store: Store) -> str:
    """Run every missing migration in one transaction. Returns the revision reached. Raises DatabaseUnavailableError."""
    with store.transaction() as connection:
        # The service's short limits are for requests: a migration may wait for another pod's and take its time.
        connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        settings = AlembicConfig()
        settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        return _revision(connection)


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or "none"


def main() -> int:
    """The command. A database that isn't there yet is waited for, ATTEMPTS_FOR_SECONDS at most."""
    try:
        config = load(os.environ)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.config.dictConfig(logging_config(config.log_level))
    if config.database is None:
        _log.info("no database is configured: nothing to migrate")
        return 0
    store = Store(config.database, pool_size=1)
    started = time.monotonic()
    while True:
        try:
            _log.info("the database is at its newest revision", extra={"fields": {"revision": upgrade(store)}})
        except DatabaseUnavailableError as error:
            refused = "password authentication failed" in error.reason  # libpq gives no code for it
            if time.monotonic() - started >= (REFUSED_FOR_SECONDS if refused else ATTEMPTS_FOR_SECONDS):
                _log.error(
                    "the database can't be migrated: it is unavailable", extra={"fields": {"reason": error.reason}}
                )
                return 1
            _log.info("waiting for the database", extra={"fields": {"reason": error.reason}})
            time.sleep(2)
        else:
            return 0


if __name__ == "__main__":
    sys.exit(main())
