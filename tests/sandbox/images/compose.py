"""Prerequisites of `app/compose.sh` without a registry: an engine with a network, and images.

The engine has a network namespace of its own, so neither its bridge, nor its packet filter, nor the
ports that it publishes are the machine's; slirp4netns (as in rootless Docker) gives it the way out
that a build needs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.images import debian_base, engines
from tests.app import postgresql
from tests.sandbox.images import machine

FILES = Path(__file__).parent / "postgres"
_PROGRAMS = ("initdb", "postgres", "pg_isready")
_ASK = """
import json, sys, urllib.request, urllib.error
method, url, body = json.load(sys.stdin)
data = json.dumps(body).encode() if body is not None else None
request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
try:
    answer = urllib.request.urlopen(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, answer.read().decode()]))
"""


@dataclass(frozen=True)
class Laptop:
    """A Docker engine with a network, as on a developer's machine. `namespace` is the process to
    enter for its ports.
    """

    host: str
    namespace: int
    docker: engines.DockerEngine

    def run(
        self, *command: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the engine's published ports are 127.0.0.1's."""
        enter = ["nsenter", f"--net=/proc/{self.namespace}/ns/net"]
        return subprocess.run(
            [*enter, *map(str, command)],
            env={**os.environ, "DOCKER_HOST": self.host, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def ask(self, method: str, url: str, body: object = None) -> tuple[int, str]:
        """An HTTP request: status and body. Raises AssertionError when nobody answers."""
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.namespace}/ns/net", sys.executable, "-c", _ASK],
            input=json.dumps([method, url, body]),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-500:]
        status, text = json.loads(done.stdout)
        return int(status), str(text)


def compose_or_skip(docker: engines.DockerEngine) -> None:
    """Skip where compose.sh finds neither `docker compose` nor docker-compose."""
    if (
        not _answers([docker.program, "compose", "version"])
        and shutil.which("docker-compose") is None
    ):
        pytest.skip("no compose is installed (make tools)")


@contextmanager
def laptop(folder: Path) -> Iterator[Laptop]:
    """An engine of our own in a network namespace of its own; skips, with the reason, where that
    can't be had.
    """
    for program, package in (
        ("dockerd", "docker.io"),
        ("slirp4netns", "slirp4netns"),
        ("nsenter", "util-linux"),
    ):
        if shutil.which(program) is None:
            pytest.skip(
                f"{program} is not installed (apt-get install --no-install-recommends {package})"
            )
    if os.geteuid() != 0:
        pytest.skip("starting a Docker engine needs root")
    socket = f"unix://{folder}/docker.sock"
    options = ["--host", socket, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    options += ["--pidfile", f"{folder}/pid", "--mtu", "1400"]
    # The engine starts when its way out is there. With us both end, even if we are killed.
    script = (
        'ip link set lo up; until ip link show tap0 > /dev/null 2>&1; do sleep 0.1; done; exec "$@"'
    )
    engine = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        "dockerd",
    ]
    with (folder / "log").open("w") as log, ExitStack() as running:
        daemon = running.enter_context(_process([*engine, *options], log))
        _wait(
            lambda: (
                Path(f"/proc/{daemon.pid}/ns/net").readlink()
                != Path("/proc/self/ns/net").readlink()
            ),
            folder / "log",
        )
        way_out = [
            "setpriv",
            "--pdeathsig",
            "TERM",
            "slirp4netns",
            "--configure",
            "--mtu=1400",
            str(daemon.pid),
            "tap0",
        ]
        running.enter_context(_process(way_out, log))
        docker = next(
            (
                result
                for program in engines.docker_programs()
                if (result := engines.DockerEngine(program, {"DOCKER_HOST": socket}))
                and _ready(result, folder / "log")
            ),
            None,
        )
        if docker is None:
            pytest.skip("no docker command line with BuildKit (make tools)")
        yield Laptop(socket, daemon.pid, docker)


@contextmanager
def _process(command: list[str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        machine.end(process)


def _ready(docker: engines.DockerEngine, log: Path) -> bool:
    if engines.docker_problem(docker.program, docker.env) is None:
        return True
    _wait(lambda: _answers([docker.program, "version"], docker.env), log)
    return engines.docker_problem(docker.program, docker.env) is None


def _wait(condition: Any, log: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            pytest.skip(f"dockerd does not start here: {log.read_text().strip().splitlines()[-1:]}")
        time.sleep(0.1)


def stand_ins(docker: engines.DockerEngine, bases: Path, folder: Path) -> dict[str, str]:
    """Load a base and build a PostgreSQL from what this machine has; returns them as compose.yaml's
    variables.
    """
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (make tools)")
    if (reason := debian_base.problem()) is not None:
        pytest.skip(reason)
    created = debian_base.local_base(bases, "amd64")
    docker.load(created.base, "localhost/base:test")
    docker.load(created.builder, "localhost/builder:test")
    shutil.copytree(FILES, folder, dirs_exist_ok=True)
    _pack(programs, folder / "postgres.tar")
    arguments = [f"--build-arg=PROGRAMS={programs}", "--build-arg=BASE_IMAGE=localhost/base:test"]
    command = [docker.program, "build", "--tag", "localhost/postgres:test", *arguments, str(folder)]
    environment = {**os.environ, **docker.env, "DOCKER_BUILDKIT": "1"}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return {
        "BASE_IMAGE": "localhost/base:test",
        "BUILDER_IMAGE": "localhost/builder:test",
        "POSTGRES_IMAGE": "localhost/postgres:test",
    }


def _pack(programs: Path, tar: Path) -> None:
    """The server, its files, and every library that either loads."""
    home, share = programs.parent, Path("/usr/share/postgresql") / programs.parent.name
    binaries = [
        *(programs / name for name in _PROGRAMS),
        home / "lib" / "plpgsql.so",
        home / "lib" / "dict_snowball.so",
    ]
    binaries.append(Path(shutil.which("setpriv") or "/usr/bin/setpriv"))
    expected = {*binaries, share, Path("/usr/share/zoneinfo")}
    for binary in binaries:
        listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
        expected |= {
            Path(word)
            for line in listed.splitlines()
            for word in line.split()
            if word.startswith("/")
        }
    with tarfile.open(tar, "w", dereference=True) as archive:
        for path in sorted(expected):
            # Under its real folder: in the base, /lib is a link, which must not become a folder.
            archive.add(path, arcname=str(path.parent.resolve() / path.name))


def _answers(command: list[str], environment: Mapping[str, str] | None = None) -> bool:
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, check=False
    )
    return done.returncode == 0
