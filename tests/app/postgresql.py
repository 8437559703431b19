"""PostgreSQL for the tests: skipped without a server, or failed if REQUIRE_POSTGRES is set."""

import os
from pathlib import Path

import pytest

from bench.postgresql import ADMINISTRATOR, Postgres, programs, running

__all__ = ["ADMINISTRATOR", "Postgres", "programs", "required_programs", "running"]


def required_programs() -> Path:
    """Return `programs()`; skip the test without them, or fail if REQUIRE_POSTGRES is set."""
    directory = programs()
    if directory is None:
        reason = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return directory
