"""A copy of the project whose stack files may change, with a sandbox of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.documentation import project
from tests.documentation.project import Clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    created = project.clone(tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("home"))
    yield created
    subprocess.run(
        [sys.executable, "-m", "sandbox", "stop"],
        cwd=created.directory,
        env=os.environ | created.environment,
        check=True,
        capture_output=True,
    )
