"""What every test of the engine stands on: a provider in this process and a project beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.kit import Kit, serving
from tests.engine.workspace import Workspace


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def workspace(tmp_path: Path, kit: Kit) -> Iterator[Workspace]:
    with serving(kit) as port:
        yield Workspace(tmp_path, port)
