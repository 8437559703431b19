"""A Docker engine, a registry behind ECR, and the service's image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.images import (
    Builder,
    BuildRequest,
    BuildResult,
    Destination,
    engines,
    image_cache,
)
from tests.sandbox.images import machine
from tests.sandbox.registry.client import Running, credentials, emptied_ecr, emulated_ecr

APP = Path(__file__).parents[3] / "app"


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    # A socket's path has at most 108 characters, fewer than pytest's directories.
    with (
        tempfile.TemporaryDirectory(prefix="dockerd-", ignore_cleanup_errors=True) as folder,
        machine.docker_engine(Path(folder)) as host,
    ):
        yield host


@pytest.fixture(scope="session")
def docker(docker_host: str) -> engines.DockerEngine:
    for program in engines.docker_programs():
        engine = engines.DockerEngine(program, {"DOCKER_HOST": docker_host})
        if engine.works():
            return engine
    pytest.skip("no docker command line with BuildKit (make tools)")


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> engines.BuildahEngine:
    return engines.BuildahEngine(machine.buildah(), tmp_path_factory.mktemp("buildah"))


# Scoped by module, because other tests empty the process's ECR.
@pytest.fixture(scope="module")
def ecr() -> Iterator[Any]:
    with emulated_ecr() as endpoint:
        yield emptied_ecr(endpoint)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, ecr: Any) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("registry"))
    running.start()
    ecr.create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    yield running
    running.stop()


@dataclass(frozen=True)
class BuiltApp:
    """The service's image, pushed: `reference` is localhost:PORT/app@sha256:…"""

    reference: str
    outcome: BuildResult
    auth: tuple[str, str]


class FixedBuilder(Builder):
    """A Builder with a given engine."""

    def __init__(self, cache: Path, engine: engines.Engine) -> None:
        # Shared with all sandboxes, because creating a base image is slow.
        super().__init__(cache, image_cache() / "bases")
        self._engine = engine

    def engine(self) -> engines.Engine:
        return self._engine


@pytest.fixture(scope="module")
def app(
    docker: engines.DockerEngine,
    registry: Running,
    ecr: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> BuiltApp:
    machine.base_makers_or_skip()
    auth = credentials(ecr)
    builder = FixedBuilder(tmp_path_factory.mktemp("images"), docker)
    order = BuildRequest(
        context=APP, dockerfile=APP / "Dockerfile", platform="linux/amd64", network="host"
    )
    outcome = builder.build(order, Destination(f"{registry.host}/app", *auth), "v1")
    return BuiltApp(f"{registry.host}/app@{outcome.digest}", outcome, auth)
