"""Builders and container engines of this machine for the tests: what is there, started where it isn't running yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.images import engines

START_SECONDS = 120


@contextmanager
def docker_engine(folder: Path) -> Iterator[str]:
    """DOCKER_HOST of an engine that builds with BuildKit: a running one, or one of our own; else the test is skipped.

    Our own has no bridge and leaves the machine's packet filter alone, so containers use the host's network.
    """
    programs = engines.docker_programs()
    if not programs:
        pytest.skip("no docker on the PATH (make tools)")
    if any(engines.docker_trouble(program) is None for program in programs):
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    if shutil.which("dockerd") is None:
        pytest.skip("no Docker engine is running or installed (make tools)")
    if os.geteuid() != 0:
        pytest.skip("no Docker engine is running, and starting one needs root")
    socket = f"unix://{folder}/docker.sock"
    options = ["--host", socket, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    options += ["--pidfile", f"{folder}/pid", "--bridge", "none", "--iptables=false", "--ip6tables=false"]
    # With us it ends, even if we are killed: a parent's death is its SIGTERM.
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd", *options]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(daemon, socket, folder / "log")
            yield socket
        finally:
            end(daemon)
            # The engine leaves the network namespace of its host-network containers mounted.
            subprocess.run(["umount", f"{folder}/exec/netns/default"], capture_output=True, check=False)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and see to it."""
    process.terminate()
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(daemon: subprocess.Popen[bytes], socket: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    program = engines.docker_programs()[0]
    while time.monotonic() < deadline:
        answer = subprocess.run([program, "--host", socket, "version"], capture_output=True, check=False)
        if answer.returncode == 0:
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.2)
    last = log.read_text().strip().splitlines()[-1:]
    pytest.skip(f"dockerd does not start here: {last}")


def buildah() -> str:
    """The buildah program, or a skip."""
    found = shutil.which("buildah")
    if found is None:
        pytest.skip("buildah is not installed (make tools)")
    return found


def base_makers_or_skip() -> None:
    """Skip where neither image registries nor Debian's packages give a base."""
    from sandbox.images import debian_base

    if (reason := debian_base.trouble()) is not None:
        pytest.skip(reason)
