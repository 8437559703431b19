"""An engine that stops during a build is replaced, or the image is reported as not built."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.images import BuildRequest, engines
from sandbox.images.build_request import BuildError
from sandbox.images.builder import MACHINE_ARCHITECTURE, Builder


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    platform = f"linux/{MACHINE_ARCHITECTURE}"
    return BuildRequest(context=context, dockerfile=context / "Dockerfile", platform=platform)


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def builder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *detected: engines.Engine | engines.NoEngine,
) -> Builder:
    """Return a builder that detects these engines, one after the other."""
    home = tmp_path / "home"
    home.mkdir()
    remaining = list(detected)
    monkeypatch.setattr(engines, "detect", lambda _store: remaining.pop(0))
    return Builder(home)


def test_image_is_not_built_when_the_only_engine_stops(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = engines.DockerEngine(program(tmp_path / "docker", "echo stopped; exit 1"))
    missing = engines.NoEngine("docker reaches no Docker engine")
    result = builder(tmp_path, monkeypatch, stopping, missing).build(request_, None, None)
    assert result.not_built is not None
    assert result.not_built.startswith("Docker stopped during the build; docker reaches no")
    assert "`make tools` installs a builder" in result.not_built


def test_engine_that_was_removed_during_the_build_is_replaced_by_another(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = engines.DockerEngine(str(tmp_path / "removed"))
    failing = engines.DockerEngine(program(tmp_path / "docker", "echo broken >&2; exit 3"))
    created = builder(tmp_path, monkeypatch, removed, failing, failing)
    with pytest.raises(BuildError, match="failed with code 3: broken"):
        created.build(request_, None, None)


def test_failing_build_of_a_working_engine_is_an_error(
    request_: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = engines.DockerEngine(program(tmp_path / "docker", "echo broken; exit 3"))
    with pytest.raises(BuildError, match="failed with code 3: broken"):
        builder(tmp_path, monkeypatch, failing, failing).build(request_, None, None)
