"""Namespaces of a build's processes: a private /tmp, and process IDs that end with the build.

The host name is the build's own: locks name their holder by host and process ID.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_TMP = Path("/tmp")  # noqa: S108 - the build's own, by a mount namespace
_SOCKET = Path("/run/docker.sock")
_ENGINE_ENTRIES = ("docker", "containerd")
_PROBE_SECONDS = 10


@cache
def namespaces() -> tuple[str, ...]:
    """Return the command that creates the namespaces, or () where that is forbidden.

    With a PID namespace, the kernel ends all processes of a build whose supervisor is killed.
    """
    own = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() else []
    for pid in (["--pid", "--fork", "--kill-child", "--mount-proc"], []):
        command = ("unshare", *own, "--mount", "--uts", *pid)
        try:
            result = subprocess.run(
                [*command, "sh", "-c", "mount --bind /tmp /tmp"],
                capture_output=True,
                check=False,
                timeout=_PROBE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if result.returncode == 0:
            return command
    return ()


def can_run_docker() -> bool:
    """Return whether a privileged build can start a Docker engine of its own."""
    installed = shutil.which("dockerd") is not None
    return installed and os.geteuid() == 0 and bool(namespaces()) and not _SOCKET.exists()


def isolate(
    command: Sequence[str],
    tmp: Path,
    visible: Sequence[Path],
    *,
    host_name: str,
    hosts: Path | None = None,
    run: Path | None = None,
) -> list[str]:
    """Return the command with `tmp` as its /tmp; `visible` paths below /tmp stay where they are.

    `hosts` becomes /etc/hosts. `run` becomes /run, without the machine's Docker engine: the socket
    of an engine that the build starts must not be seen by others.
    """
    if not namespaces():
        return list(command)
    name = shlex.quote(host_name)
    script = [
        "set -e",
        f"hostname {name} 2>/dev/null || echo {name} 2>/dev/null >/proc/sys/kernel/hostname || :",
    ]
    if run is not None:
        run.mkdir()
        for entry in Path("/run").iterdir():
            script += _keep(entry, run / entry.name)
        script.append(f"mount --rbind {shlex.quote(str(run))} /run")
    if hosts is not None:
        script.append(f"mount --bind {shlex.quote(str(hosts))} /etc/hosts")
    for path in visible:
        if path.is_relative_to(_TMP):
            target = tmp / path.relative_to(_TMP)
            target.mkdir(parents=True, exist_ok=True)
            script.append(f"mount --bind {shlex.quote(str(path))} {shlex.quote(str(target))}")
    script += [f"mount --rbind {shlex.quote(str(tmp))} /tmp", 'exec "$@"']
    return [*namespaces(), "sh", "-c", "\n".join(script), "sh", *command]


def _keep(entry: Path, target: Path) -> list[str]:
    """Return the commands that keep an entry of /run."""
    if entry.name.startswith(_ENGINE_ENTRIES):
        return []
    if entry.is_symlink():
        target.symlink_to(entry.readlink())
        return []
    if entry.is_dir():
        target.mkdir()
    else:
        target.touch()
    return [f"mount --rbind {shlex.quote(str(entry))} {shlex.quote(str(target))}"]
