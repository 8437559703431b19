"""Conditions of an operation."""

from __future__ import annotations

import errno
import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.engine import PlainDisplay
from sandbox.runtime.home import Home
from sandbox.runtime.operations import operate
from sandbox.runtime.session import Session


@pytest.mark.parametrize("kind", ["up", "refresh", "destroy"])
def test_operation_is_refused_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: full\nruntime: python\n")
    home = Home(tmp_path / "home")
    home.prepare()
    session = Session(
        home=home,
        stack="dev",
        file=cast(Any, None),
        running=cast(Any, None),
        project=tmp_path,
        state=home.state,
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(OSError, match="Less than 64 MiB is free") as refused:
        operate(session, kind, None, lambda: PlainDisplay(io.StringIO()))
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, str(home.path))
    assert not list(home.path.rglob("full.dev*"))
