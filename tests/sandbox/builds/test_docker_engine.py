"""A privileged build starts a Docker engine, as in AWS's documentation of Docker in builds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.builds import isolation
from tests.sandbox.builds.conftest import Builds

SPEC = """
version: 0.2
phases:
  install:
    commands:
      - nohup dockerd --host=unix:///var/run/docker.sock --storage-driver=overlay2 &
      - timeout 15 sh -c "until docker info; do echo .; sleep 1; done"
  pre_build:
    commands:
      - mkdir -p rootfs/bin && echo "$FILES" | xargs cp -L --parents -t rootfs
      - printf 'FROM scratch\\nCOPY rootfs /\\nENV PATH=/bin\\n' > Dockerfile
      - docker build -t helloworld .
  build:
    commands:
      - docker images
      - docker run helloworld echo "Hello, World!"
"""


@pytest.mark.container
def test_engine_of_a_privileged_build_is_private_and_ends_with_it(builds: Builds) -> None:
    if not isolation.can_run_docker():
        pytest.skip("a Docker engine is running, or dockerd or root's namespaces are missing")
    linked = subprocess.run(["ldd", "/bin/echo"], capture_output=True, text=True, check=True)
    files = ["/bin/echo", *re.findall(r"/\S+", linked.stdout)]
    environment = [{"name": "FILES", "value": " ".join(files)}]
    name = builds.project(SPEC)
    build = builds.wait(
        builds.submit(name, privilegedModeOverride=True, environmentVariablesOverride=environment)
    )
    log = builds.log(build)
    assert build["buildStatus"] == "SUCCEEDED", log
    assert "Hello, World!" in log
    assert not Path("/run/docker.sock").exists()
    assert shutil.which("pgrep") is None or not _processes("dockerd")


def _processes(name: str) -> str:
    command = ["pgrep", "--list-full", "--exact", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "".join(line for line in listed.splitlines() if "/run/docker-data" in line)
