"""A container engine, and images of it with the server of `tests.sandbox.conftest`."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.containers import engine_client
from sandbox.containers.engine_client import ContainerEngine
from sandbox.images import debian_base, engines, image_cache
from sandbox.images.builder import MACHINE_ARCHITECTURE
from tests.sandbox.images import machine

_BASES = image_cache() / "bases"


@contextmanager
def running_engine() -> Iterator[ContainerEngine]:
    """Return the running engine or start one; skip where neither is possible."""
    if isinstance(result := engine_client.detect(), ContainerEngine):
        yield result
        return
    # A socket's path has at most 108 characters, fewer than pytest's directories.
    with (
        tempfile.TemporaryDirectory(prefix="dockerd-", ignore_cleanup_errors=True) as folder,
        machine.docker_engine(Path(folder)) as host,
    ):
        engine = engine_client.connect(host)
        if isinstance(engine, str):
            pytest.skip(engine)
        yield engine


def python_image(engine: ContainerEngine) -> str:
    """Return a local image with Python and a shell."""
    machine.base_makers_or_skip()
    base = debian_base.local_base(_BASES, MACHINE_ARCHITECTURE)
    name = f"localhost/sandbox-base:{base.key}"
    if not engine.api.images(name=name):
        repository, _, tag = name.rpartition(":")
        with base.base.open("rb") as tar:
            engine.api.import_image_from_file(
                tar.name,
                repository=repository,
                tag=tag,
                changes=[f"ENV PATH={engines.SEARCH_PATH}"],
            )
    return name


def build(engine: ContainerEngine, tag: str, dockerfile: str, files: dict[str, str]) -> str:
    """Build an image with the engine's API, which needs no command line; return its tag."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in {**files, "Dockerfile": dockerfile}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    context.seek(0)
    for line in engine.api.build(
        fileobj=context, custom_context=True, rm=True, forcerm=True, tag=tag, decode=True
    ):
        assert "error" not in line, line
    return tag
