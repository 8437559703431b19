"""What the service's tests share: a real database, a client without one, and a migrated one."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app.config import load
from app.factory import create_app
from app.migrate import upgrade
from tests.app.postgresql import Postgres, binaries, running

RELEASE = {
    "APP_ENVIRONMENT": "test",
    "APP_VERSION": "1.2.3",
    "APP_COMMIT": "0123456789abcdef0123456789abcdef01234567",
    "APP_IMAGE_DIGEST": "sha256:" + "ab" * 32,
    "POD_NAME": "app-7d9f",
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running(programs) as server:
        yield server


@pytest.fixture
def empty_database(postgres: Postgres) -> str:
    """The URL of a database without any table."""
    return postgres.new_database()


@pytest.fixture
def database(empty_database: str) -> str:
    """The URL of a migrated database."""
    migrate(empty_database)
    return empty_database


def migrate(url: str) -> None:
    from app.database import Store

    config = load({"DATABASE_URL": url})
    assert config.database is not None
    store = Store(config.database, pool_size=1)
    upgrade(store)
    store.engine.dispose()


@pytest.fixture
def client() -> FlaskClient:
    """Without a database."""
    return create_app(load(RELEASE)).test_client()


@pytest.fixture
def book(database: str) -> FlaskClient:
    """With a migrated database."""
    return create_app(load({**RELEASE, "DATABASE_URL": database})).test_client()
