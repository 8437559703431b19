"""Build and container engines of this machine; starts a Docker engine if none is running."""

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
    """Return DOCKER_HOST of an engine with BuildKit: the running one or our own; else skip.

    Our own engine has no bridge and no iptables rules, so containers use the host's network.
    """
    programs = engines.docker_programs()
    if not programs:
        pytest.skip("no docker on the PATH (make tools)")
    if any(engines.docker_problem(program) is None for program in programs):
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    if shutil.which("dockerd") is None:
        pytest.skip("no Docker engine is running or installed (make tools)")
    if os.geteuid() != 0:
        pytest.skip("no Docker engine is running, and starting one needs root")
    socket = f"unix://{folder}/docker.sock"
    options = ["--host", socket, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    options += [
        "--pidfile",
        f"{folder}/pid",
        "--bridge",
        "none",
        "--iptables=false",
        "--ip6tables=false",
    ]
    # Ends with this process, even if it is killed.
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd", *options]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(daemon, socket, folder / "log")
            yield socket
        finally:
            end(daemon)
            # The engine does not unmount the network namespace of its host-network containers.
            subprocess.run(
                ["umount", f"{folder}/exec/netns/default"], capture_output=True, check=False
            )


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, or kill it after a timeout."""
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
        response = subprocess.run(
            [program, "--host", socket, "version"], capture_output=True, check=False
        )
        if response.returncode == 0:
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.2)
    last = log.read_text().strip().splitlines()[-1:]
    pytest.skip(f"dockerd does not start here: {last}")


def buildah() -> str:
    """Return the buildah program, or skip."""
    program = shutil.which("buildah")
    if program is None:
        pytest.skip("buildah is not installed (make tools)")
    return program


def base_makers_or_skip() -> None:
    """Skip where no base image can be created."""
    from sandbox.images import debian_base

    if (reason := debian_base.problem()) is not None:
        pytest.skip(reason)
