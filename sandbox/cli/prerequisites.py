"""Checks of this machine's tools: result, purpose, and the command that installs what is missing.

`make up` needs none of them; each check names the feature that a missing tool disables. Commands
are for Debian and its derivatives; elsewhere a check has none.
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
from functools import partial
from pathlib import Path
from typing import Literal

from sandbox.images import engines, image_cache
from sandbox.runtime import kubernetes_build, pulumi_cli

State = Literal["ok", "missing", "degraded"]
PYTHON = (3, 11)
DISK_BYTES = 3 << 30
MEMORY_BYTES = 2 << 30
_SECONDS = 30


@dataclass(frozen=True)
class Check:
    """One check: result, purpose, and the shell command that fixes it ("" if none)."""

    name: str
    state: State
    result: str
    purpose: str
    fix: str = ""


@dataclass(frozen=True)
class _Tool:
    """A program, its Debian packages, and its purpose."""

    name: str
    programs: tuple[str, ...]
    package: str
    purpose: str
    version: tuple[str, ...] = ("--version",)


_TOOLS = (
    _Tool("git", ("git",), "git", "labels images with the commit"),
    _Tool(
        "buildah",
        ("buildah",),
        "buildah",
        "builds images without a daemon; needed for images if there is no Docker",
    ),
    _Tool("skopeo", ("skopeo",), "skopeo", "verifies pushed images in the tests"),
    _Tool(
        "mmdebstrap",
        ("mmdebstrap",),
        "mmdebstrap",
        "builds the base image from Debian packages if no image registry is reachable",
    ),
    _Tool(
        "kubectl",
        ("kubectl",),
        "kubernetes-client",
        "inspects the clusters",
        ("version", "--client"),
    ),
    _Tool(
        "Chromium",
        ("chromium", "chromium-browser", "google-chrome"),
        "chromium chromium-driver",
        "tests the page",
    ),
    _Tool(
        "slirp4netns",
        ("slirp4netns",),
        "slirp4netns",
        "isolates the network of the compose tests",
    ),
    _Tool("wrk", ("wrk",), "wrk", "generates load for `make bench`", ("-v",)),
)


def checks(only: Sequence[str] = ()) -> list[Check]:
    """Return the result of every check, or of those for the tools `only`; changes nothing.

    Raises ValueError for a tool that has no check.
    """
    selectable = _selectable()
    if unknown := [name for name in only if name not in selectable]:
        tools = ", ".join(selectable)
        raise ValueError(f"there is no tool {unknown[0]!r}; the tools are {tools}.")
    if only:
        return _with_one_install([selectable[name]() for name in dict.fromkeys(only)])
    results = [_python(), _memory(), _disk(), _loopback(), _pulumi(), _control_plane()]
    return _with_one_install([*results, *(check() for check in selectable.values())])


def _selectable() -> dict[str, Callable[[], Check]]:
    """Return the checks of tools by the word that selects them: `make tools TOOLS=builder`."""
    return {
        "builder": _builder,
        "docker": _docker,
        "compose": _compose,
        **{tool.name.lower(): partial(_tool, tool) for tool in _TOOLS},
        "postgresql": _postgresql,
    }


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    state: State = "ok" if sys.version_info >= PYTHON else "missing"
    return Check(
        "Python",
        state,
        version,
        "runs everything; 3.11 or later",
        "" if state == "ok" else "python3",
    )


def _memory() -> Check:
    text = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").exists() else ""
    match = re.search(r"MemAvailable:\s+(\d+) kB", text)
    if match is None:
        return Check(
            "memory", "degraded", "unknown (no /proc/meminfo)", "the sandbox uses about 0.5 GiB"
        )
    free = int(match[1]) * 1024
    state: State = "ok" if free >= MEMORY_BYTES else "degraded"
    return Check(
        "memory", state, f"{free / 2**30:.1f} GiB free", "with less than 2 GiB, builds are slow"
    )


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free >= DISK_BYTES else "degraded"
    return Check(
        "disk", state, f"{free / 2**30:.1f} GiB free", "stores images and state in .sandbox"
    )


def _loopback() -> Check:
    purpose = "serves the sandbox on 127.0.0.1; image names contain localhost"
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo("localhost", None)}
    except OSError as error:
        return Check("ports", "missing", f"127.0.0.1 is not usable: {error.strerror}", purpose)
    if "127.0.0.1" not in addresses:
        command = "echo '127.0.0.1 localhost' >> /etc/hosts"
        return Check(
            "ports", "degraded", f"localhost is {', '.join(sorted(addresses))}", purpose, command
        )
    return Check("ports", "ok", "127.0.0.1, as localhost", purpose)


def _pulumi() -> Check:
    purpose = "runs the program; otherwise the embedded engine does, with the same state"
    cli = pulumi_cli.find()
    if cli is None:
        result = "neither on PATH nor built; the embedded engine is used; `make pulumi` builds one"
        return Check("Pulumi CLI", "degraded", result, purpose)
    if not cli.covered:
        low, high = (".".join(map(str, version)) for version in pulumi_cli.COVERED)
        result = f"{cli.version} is not in {low} to {high}; used with --engine pulumi only"
        return Check("Pulumi CLI", "degraded", result, purpose)
    return Check("Pulumi CLI", "ok", f"{cli.version} at {cli.path}", purpose)


def _control_plane() -> Check:
    purpose = (
        "judges the emulated clusters in the tests; their record of its answers does otherwise"
    )
    path = kubernetes_build.built()
    if path is None:
        result = (
            f"{kubernetes_build.version()} is not built; `make kubernetes` builds it (needs Go)"
        )
        return Check("Kubernetes", "degraded", result, purpose)
    return Check("Kubernetes", "ok", f"{kubernetes_build.version()} at {path}", purpose)


def _builder() -> Check:
    purpose = "builds and pushes images; without one, images are placeholders"
    builder = engines.detect(image_cache() / "store")
    if isinstance(builder, engines.NoEngine):
        return Check("image builder", "missing", f"none: {builder.reason}", purpose, "buildah")
    return Check("image builder", "ok", builder.name, purpose)


def _docker() -> Check:
    purpose = "builds with BuildKit's cache and runs the container in the tests"
    programs = engines.docker_programs()
    problems = [engines.docker_problem(program) for program in programs]
    if None in problems:
        return Check("Docker engine", "ok", programs[problems.index(None)], purpose)
    if any(_succeeds([program, "version"]) for program in programs):
        return Check(
            "Docker engine",
            "degraded",
            "; ".join(filter(None, problems)),
            purpose,
            "docker.io iptables",
        )
    if shutil.which("dockerd") is None:
        return Check("Docker engine", "missing", "not installed", purpose, "docker.io iptables")
    return Check("Docker engine", "degraded", "installed, not running", purpose, _start_docker())


def _compose() -> Check:
    purpose = "runs the service and PostgreSQL with app/compose.sh"
    for command in (
        *([program, "compose"] for program in engines.docker_programs()),
        ["docker-compose"],
    ):
        if _succeeds([*command, "version"]):
            return Check("compose", "ok", _version([*command, "version"]), purpose)
    return Check(
        "compose",
        "missing",
        "neither `docker compose` nor docker-compose",
        purpose,
        "docker-compose",
    )


def _start_docker() -> str:
    if Path("/run/systemd/system").exists():
        return f"{_sudo()}systemctl start docker"
    # A bridge with a larger MTU than the machine's link makes builds hang.
    start = f"{_sudo()}setsid dockerd --mtu {_mtu()} > /tmp/dockerd.log 2>&1 < /dev/null &"
    return (
        f"({start}) && timeout 30 sh -c 'until {_sudo()}docker info > /dev/null 2>&1; do sleep "
        "0.5; done'"
    )


def _mtu() -> int:
    """Return the MTU of the default route's link, or 1500."""
    try:
        routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
        link = next(route[0] for route in routes if route[1] == "00000000")
        return int(Path(f"/sys/class/net/{link}/mtu").read_text())
    except (OSError, StopIteration, ValueError):
        return 1500


def _tool(tool: _Tool) -> Check:
    program = next((path for name in tool.programs if (path := shutil.which(name))), None)
    if program is None:
        return Check(tool.name, "missing", "not on PATH", tool.purpose, tool.package)
    return Check(tool.name, "ok", _version([program, *tool.version]) or program, tool.purpose)


def _postgresql() -> Check:
    purpose = "runs the service's tests"
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    server = str(servers[-1]) if servers else shutil.which("postgres")
    if server is None:
        return Check("PostgreSQL", "missing", "no server found", purpose, "postgresql")
    return Check("PostgreSQL", "ok", _version([server, "--version"]) or server, purpose)


def _with_one_install(results: Sequence[Check]) -> list[Check]:
    """Replace package names in `fix` by one install command for all of them."""
    packages = dict.fromkeys(package for check in results for package in _packages(check.fix))
    if not packages:
        return list(results)
    install = ""
    if shutil.which("apt-get"):
        quiet = "DEBIAN_FRONTEND=noninteractive"
        install = (
            f"{_sudo()}apt-get update -qq && {_sudo()}env {quiet} apt-get install -y -qq "
            "--no-install-recommends --no-upgrade "
        )
        install += " ".join(packages)
    return [replace(check, fix=install) if _packages(check.fix) else check for check in results]


def _packages(fix: str) -> list[str]:
    return fix.split() if re.fullmatch(r"[a-z0-9.+-]+( [a-z0-9.+-]+)*", fix) else []


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


def _version(command: Sequence[str]) -> str:
    """Return the first line with a digit in the program's output."""
    return _first(lambda line: bool(re.search(r"\d", line)), _run(command).splitlines())


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _first(test: Callable[[str], bool], lines: Iterable[str]) -> str:
    return next((line.strip() for line in lines if test(line)), "")
