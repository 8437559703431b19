"""The processes that the conformance tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.engines import Laboratory, laboratory


@pytest.fixture(scope="module")
def shared() -> Iterator[Laboratory]:
    with laboratory() as processes:
        yield processes
