"""What this machine has of all that the sandbox can use, why each matters, and the exact command that mends it.

Nothing here is needed for `make up`: each missing tool takes one way of showing things for real away, and the check says
which. Commands are for Debian and its children; elsewhere a check names the tool and leaves the command out.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sandbox.images import engines
from sandbox.runtime import pulumi_cli

State = Literal["ok", "missing", "degraded"]
PYTHON = (3, 11)
DISK_BYTES = 3 << 30
MEMORY_BYTES = 2 << 30
_SECONDS = 30


@dataclass(frozen=True)
class Check:
    """One thing looked at: `found` in words, `why` it matters, `fix` the shell command that mends it ("" when none)."""

    name: str
    state: State
    found: str
    why: str
    fix: str = ""


@dataclass(frozen=True)
class _Tool:
    """A program, the Debian package that brings it, and what is lost without it."""

    name: str
    programs: tuple[str, ...]
    package: str
    why: str
    version: tuple[str, ...] = ("--version",)


_TOOLS = (
    _Tool("git", ("git",), "git", "image labels and pipelines name the commit"),
    _Tool(
        "buildah",
        ("buildah",),
        "buildah",
        "builds images without a daemon; without it and Docker, images are 'not built'",
    ),
    _Tool("skopeo", ("skopeo",), "skopeo", "a second opinion on pushed images in the tests"),
    _Tool(
        "mmdebstrap",
        ("mmdebstrap",),
        "mmdebstrap",
        "makes the base image from Debian packages where image registries can't be reached",
    ),
    _Tool(
        "kubectl",
        ("kubectl",),
        "kubernetes-client",
        "for looking around in the cluster; the sandbox itself doesn't need it",
        ("version", "--client"),
    ),
    _Tool(
        "Chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium chromium-driver", "tests of the page"
    ),
    _Tool(
        "slirp4netns",
        ("slirp4netns",),
        "slirp4netns",
        "gives the Docker engine of the compose tests a network of its own",
    ),
    _Tool("wrk", ("wrk",), "wrk", "load for `make bench`", ("-v",)),
)


def checks() -> list[Check]:
    """Look at the machine, changing nothing, and return every check, the most important first."""
    found = [_python(), _memory(), _disk(), _loopback(), _pulumi(), _builder()]
    found += [_docker(), _compose(), *(_tool(tool) for tool in _TOOLS), _postgresql()]
    return _with_one_install(found)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    state: State = "ok" if sys.version_info >= PYTHON else "missing"
    return Check(
        "Python", state, version, "everything here is Python 3.11 or later", "" if state == "ok" else "python3"
    )


def _memory() -> Check:
    text = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    match = re.search(r"MemAvailable:\s+(\d+) kB", text)
    if match is None:
        return Check("memory", "degraded", "unknown (no /proc/meminfo)", "the sandbox takes about half a gibibyte")
    free = int(match[1]) * 1024
    state: State = "ok" if free >= MEMORY_BYTES else "degraded"
    return Check(
        "memory", state, f"{free / 2**30:.1f} GiB free", "below 2 GiB, builds beside a running sandbox get slow"
    )


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free >= DISK_BYTES else "degraded"
    return Check("disk", state, f"{free / 2**30:.1f} GiB free here", "images, layers and state are kept under .sandbox")


def _loopback() -> Check:
    why = "the sandbox serves on ports of 127.0.0.1 that the system chooses, and image names say localhost"
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo("localhost", None)}
    except OSError as error:
        return Check("ports", "missing", f"127.0.0.1 can't be used: {error.strerror}", why)
    if "127.0.0.1" not in addresses:
        command = "echo '127.0.0.1 localhost' >> /etc/hosts"
        return Check("ports", "degraded", f"localhost is {', '.join(sorted(addresses))}", why, command)
    return Check("ports", "ok", "127.0.0.1, as localhost", why)


def _pulumi() -> Check:
    why = "drives the program where it is; the embedded engine does without it, on the same state"
    cli = pulumi_cli.find()
    if cli is None:
        return Check("Pulumi CLI", "degraded", "none on PATH: the embedded engine is used", why)
    if not cli.covered:
        low, high = (".".join(map(str, version)) for version in pulumi_cli.COVERED)
        found = f"{cli.version}, not among the covered {low} to {high}: used on request only (--engine pulumi)"
        return Check("Pulumi CLI", "degraded", found, why)
    return Check("Pulumi CLI", "ok", f"{cli.version} at {cli.path}", why)


def _builder() -> Check:
    why = "images are really built and pushed; without a builder the sandbox says 'not built'"
    # The storage is only named here; nothing is made until something is built.
    found = engines.detect(Path(".sandbox/images/store"))
    if isinstance(found, engines.NoEngine):
        return Check("image builder", "missing", f"none: {found.reason}", why, "buildah")
    return Check("image builder", "ok", found.name, why)


def _docker() -> Check:
    why = "builds with BuildKit's cache, and runs the built container in the tests; buildah builds without it"
    programs = engines.docker_programs()
    troubles = [engines.docker_problem(program) for program in programs]
    if None in troubles:
        return Check("Docker engine", "ok", programs[troubles.index(None)], why)
    if any(_succeeds([program, "version"]) for program in programs):
        return Check("Docker engine", "degraded", "; ".join(filter(None, troubles)), why, "docker.io iptables")
    if shutil.which("dockerd") is None:
        return Check("Docker engine", "missing", "no engine installed", why, "docker.io iptables")
    return Check("Docker engine", "degraded", "installed, not running", why, _start_docker())


def _compose() -> Check:
    why = "app/compose.sh brings the service and PostgreSQL up on this machine"
    for command in (*([program, "compose"] for program in engines.docker_programs()), ["docker-compose"]):
        if _succeeds([*command, "version"]):
            return Check("compose", "ok", _version([*command, "version"]), why)
    return Check("compose", "missing", "neither `docker compose` nor docker-compose", why, "docker-compose")


def _start_docker() -> str:
    if Path("/run/systemd/system").exists():
        return f"{_sudo()}systemctl start docker"
    # The bridge's packets must fit the machine's own link, or builds hang where that is narrower than Ethernet's.
    start = f"{_sudo()}setsid dockerd --mtu {_mtu()} > /tmp/dockerd.log 2>&1 < /dev/null &"
    return f"({start}) && timeout 30 sh -c 'until {_sudo()}docker info > /dev/null 2>&1; do sleep 0.5; done'"


def _mtu() -> int:
    """Return the MTU of the link with the default route; 1500 where that can't be told."""
    try:
        routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
        link = next(route[0] for route in routes if route[1] == "00000000")
        return int(Path(f"/sys/class/net/{link}/mtu").read_text())
    except (OSError, StopIteration, ValueError):
        return 1500


def _tool(tool: _Tool) -> Check:
    program = next((path for name in tool.programs if (path := shutil.which(name))), None)
    if program is None:
        return Check(tool.name, "missing", "not on PATH", tool.why, tool.package)
    return Check(tool.name, "ok", _version([program, *tool.version]) or program, tool.why)


def _postgresql() -> Check:
    why = "the service's tests run against a real database"
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    server = str(servers[-1]) if servers else shutil.which("postgres")
    if server is None:
        return Check("PostgreSQL", "missing", "no server installed", why, "postgresql")
    return Check("PostgreSQL", "ok", _version([server, "--version"]) or server, why)


def _with_one_install(found: Sequence[Check]) -> list[Check]:
    """Turn package names in `fix` into one command for all of them, so that package lists are fetched once."""
    packages = dict.fromkeys(package for check in found for package in _packages(check.fix))
    if not packages:
        return list(found)
    install = ""
    if shutil.which("apt-get"):
        quiet = "DEBIAN_FRONTEND=noninteractive"
        install = f"{_sudo()}apt-get update -qq && {_sudo()}env {quiet} apt-get install -y -qq --no-install-recommends "
        install += " ".join(packages)
    return [replace(check, fix=install) if _packages(check.fix) else check for check in found]


def _packages(fix: str) -> list[str]:
    return fix.split() if re.fullmatch(r"[a-z0-9.+-]+( [a-z0-9.+-]+)*", fix) else []


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


def _version(command: Sequence[str]) -> str:
    """Return the first line with a number in it of what the program says of itself."""
    return _first(lambda line: bool(re.search(r"\d", line)), _says(command).splitlines())


def _says(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _first(test: Callable[[str], bool], lines: Iterable[str]) -> str:
    return next((line.strip() for line in lines if test(line)), "")
