"""Fixtures of the service: a real database, and clients with and without it."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from flask.testing import FlaskClient

from app.config import Config, Database, load
from app.db.engine import Engine
from app.db.migrate import upgrade
from app.factory import create_app
from tests.app.postgresql import Postgres, required_programs, running

RELEASE = {
    "APP_ENVIRONMENT": "test",
    "APP_VERSION": "1.2.3",
    "APP_COMMIT": "0123456789abcdef0123456789abcdef01234567",
    "APP_IMAGE_DIGEST": "sha256:" + "ab" * 32,
    "POD_NAME": "app-7d9f",
}


def load_config(**variables: str) -> Config:
    """Load the configuration from these variables only."""
    with mock.patch.dict(os.environ, variables, clear=True):
        return load()


def load_database(**variables: str) -> Database:
    database = load_config(**variables).database
    assert database is not None
    return database


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running(required_programs()) as server:
        yield server


@pytest.fixture
def empty_database(postgres: Postgres) -> str:
    """The URL of a database without tables."""
    return postgres.new_database()


@pytest.fixture
def database(empty_database: str) -> str:
    """The URL of a migrated database."""
    migrate(empty_database)
    return empty_database


def migrate(url: str) -> None:
    engine = Engine(load_database(DATABASE_URL=url), pool_size=1)
    upgrade(engine)
    engine.engine.dispose()


@pytest.fixture
def client() -> FlaskClient:
    """A client of the service without a database."""
    return create_app(load_config(**RELEASE)).test_client()


@pytest.fixture
def book(database: str) -> FlaskClient:
    """A client of the service with a migrated database."""
    return create_app(load_config(**RELEASE, DATABASE_URL=database)).test_client()
