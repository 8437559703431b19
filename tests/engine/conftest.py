"""What every test of the engine stands on: a provider in this process and a project beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.kit import Kit, serving
from tests.engine.workspace import ROOT, Workspace


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def workspace(tmp_path: Path, kit: Kit) -> Iterator[Workspace]:
    with serving(kit) as port:
        yield Workspace(tmp_path, port)


@pytest.fixture
def boxed(workspace: Workspace) -> Iterator[Workspace]:
    """The workspace with the `box` provider attached too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.box"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    workspace.others = f",box:{process.stdout.readline().strip()}"
    yield workspace
    process.stdin.close()
    process.wait(timeout=120)
