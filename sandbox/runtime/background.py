"""Controls the background process, which serves account, Kubernetes, registry and providers.

The process itself is `python -m sandbox.daemon`. It outlives commands and publishes its addresses
in `.sandbox/daemon.json` once every part answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.engine.loopback import loopback_exemptions
from sandbox.runtime import (
    build_processes,
    control_plane_processes,
    pod_containers,
    pod_processes,
    postmaster,
)
from sandbox.runtime.environment import NO_REAL_ACCOUNT, clean_environment
from sandbox.runtime.home import SOURCE_DIRECTORY, Home
from sandbox.runtime.waiting import announced

# A start replays the account's journal: about 4 ms per request on 2 cores.
START_SECONDS = 600.0
STOP_SECONDS = 20.0
# Ends the background process for a restart: pods and their connections keep running.
RESTART = signal.SIGUSR1
RESPONSE_SECONDS = 60.0  # a process that is silent for longer hangs and is replaced

# The emulated account accepts any key; these are recognizably not real.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIASANDBOXSANDBOX00",
    "AWS_SECRET_ACCESS_KEY": "sandbox",
}

# Ignores proxies of the environment, which would be used for loopback too.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DaemonError(Exception):
    """The background process did not start or stop; the message gives reason and log file."""


class DaemonInfo(BaseModel):
    """The background process: process ID, version of its code, addresses of its parts.

    `without_containers` is the reason why pods run as processes, "" if they run in containers.
    `credentials` are the account's own, or those of a build's role.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    code: str
    time_scale: float
    account: str
    kubernetes: str
    registry: str
    providers: dict[str, int]
    without_containers: str = ""
    credentials: dict[str, str] = Field(default=CREDENTIALS, exclude=True)

    def environment(self, home: Home, region: str) -> dict[str, str]:
        """Return the variables that direct AWS clients, Pulumi and providers to the sandbox."""
        providers = ",".join(f"{name}:{port}" for name, port in sorted(self.providers.items()))
        return {
            "AWS_ENDPOINT_URL": self.account,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **self.credentials,
            **NO_REAL_ACCOUNT,
            **loopback_exemptions(os.environ),
            "PULUMI_BACKEND_URL": home.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(home.passphrase_file),
            "PULUMI_DEBUG_PROVIDERS": providers,
            "SANDBOX_HOME": str(home.path),
        }

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs."""
        return _is_daemon(self.pid)


def code_fingerprint() -> str:
    """Return a digest of the sandbox's source; a process with older code is replaced."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        digest.update(str(file).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def find(home: Home) -> DaemonInfo | None:
    """Return the running background process, or None."""
    info = read_info(home)
    if info is None or not (info.is_alive or _is_lock_held(home)):
        return None
    return info if _is_healthy(info.account) else None


def read_info(home: Home) -> DaemonInfo | None:
    """Return the published process, which may have ended since."""
    try:
        return DaemonInfo.model_validate_json(home.daemon_info.read_text())
    except (FileNotFoundError, ValueError):
        return None


def ensure_running(home: Home, *, time_scale: float = 0.0) -> DaemonInfo:
    """Start the background process unless it runs with this code and time scale.

    `time_scale` multiplies AWS's provisioning times; 0 completes everything at once.
    Raises DaemonError when it fails to start, or when another command uses a process that has to
    be replaced.
    """
    with announced("Waiting for the background process.") as announcement, home.locked("daemon"):
        running = find(home)
        announcement.cancel()
        if running and running.code == code_fingerprint() and running.time_scale == time_scale:
            return running
        if running:
            reason = (
                "the sandbox's code has changed"
                if running.time_scale == time_scale
                else f"it runs with --time-scale {running.time_scale:g}"
            )
            _refuse_while_active(home, f"the background process cannot be restarted ({reason})")
        if running and (interrupted := build_processes.running(home.builds)):
            sys.stderr.write(
                f"warning: these builds fail: {', '.join(interrupted)}, because the background "
                "process is replaced; `sandbox pipeline retry STACK` runs a pipeline's failed "
                "stage again.\n"
            )
        _end(home, RESTART)
        with announced("Starting the sandbox's background process; it restores the account."):
            return _start(home, time_scale)


def stop(home: Home, *, force: bool = False) -> bool:
    """End the background process and return whether it ran; the account's contents stay on disk.

    Raises DaemonError while another command uses it, unless `force` is set.
    """
    with announced("Stopping the background process."), home.locked("daemon"):
        if not force:
            _refuse_while_active(home, "the background process was not stopped")
        return _end(home)


def repair(home: Home) -> dict[str, Any]:
    """Keep what is readable of a damaged account; return the numbers of kept and lost requests."""
    stop(home)
    with announced("Repairing the account's journal."), home.locked("daemon"):
        command = [sys.executable, "-m", "sandbox.daemon", "--home", str(home.path), "--repair"]
        ran = subprocess.run(
            command,
            cwd=SOURCE_DIRECTORY,
            env=clean_environment() | {"PYTHONPATH": str(SOURCE_DIRECTORY)},
            capture_output=True,
            text=True,
            check=False,
        )
    if ran.returncode != 0:
        raise DaemonError(f"the account was not repaired: {ran.stderr.strip().splitlines()[-1]}")
    numbers: dict[str, Any] = json.loads(ran.stdout)
    return numbers


def _refuse_while_active(home: Home, consequence: str) -> None:
    if commands := home.active_commands():
        raise DaemonError(
            f"{consequence}: {' and '.join(map(str, commands))} "
            f"{'is' if len(commands) == 1 else 'are'} running. Wait until it ends, or stop it with "
            "Ctrl-C in its terminal; `python -m sandbox stop --force` interrupts it."
        )


def inventory(running: DaemonInfo) -> dict[str, Any]:
    """Return everything that the emulated account holds."""
    url = f"{running.account}/_sandbox/inventory"
    with _DIRECT.open(url, timeout=RESPONSE_SECONDS) as response:
        contents: dict[str, Any] = json.load(response)
    return contents


def _start(home: Home, time_scale: float) -> DaemonInfo:
    home.prepare()
    home.passphrase()
    home.daemon_info.unlink(missing_ok=True)
    if _is_taken(port := _account_port(home)):
        sys.stderr.write(
            f"warning: port {port} is taken by another process, so the account moves to another "
            "one. Shells that ran `sandbox env` use the old address: run it again in each.\n"
        )
    log = home.daemon_log
    command = [sys.executable, "-m", "sandbox.daemon"]
    command += ["--home", str(home.path), "--time-scale", str(time_scale)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=SOURCE_DIRECTORY,
            env=clean_environment() | {"PYTHONPATH": str(SOURCE_DIRECTORY)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        running = find(home)
        if running:
            return running
        if process.poll() is not None:
            raise DaemonError(
                f"the background process exited with code {process.returncode}: "
                f"{_last_line(log)}\nIts log: {log}"
            )
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    raise DaemonError(
        f"the background process did not answer within {START_SECONDS:.0f} s. Its log: {log}"
    )


def _account_port(home: Home) -> str:
    with contextlib.suppress(OSError):
        return (home.account / "port").read_text()
    return ""


def _is_taken(port: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except (OSError, ValueError):
            return port != ""
    return False


def _end(home: Home, number: signal.Signals = signal.SIGTERM) -> bool:
    was_alive = _end_process(home, number)
    if number == RESTART:
        return was_alive
    # Pods and servers survive a killed background process.
    had_pods = pod_processes.end_all(home.pods, home.service_proxy)
    had_containers = pod_containers.end_all(home.path, home.pods)
    had_servers = postmaster.end_all(home.databases)
    had_builds = build_processes.end_all(home.builds)
    had_planes = control_plane_processes.end_all(home.kubernetes)
    return any((was_alive, had_builds, had_pods, had_containers, had_servers, had_planes))


def _end_process(home: Home, number: signal.Signals) -> bool:
    info = read_info(home)
    if info is None:
        return False
    was_alive = info.is_alive
    if was_alive:
        os.kill(info.pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while info.is_alive:
            if time.monotonic() > deadline:
                os.killpg(info.pid, signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.02)
    _wait_for_lock(home)  # one that was killed may not have freed its port yet
    home.daemon_info.unlink(missing_ok=True)
    return was_alive


def _is_lock_held(home: Home) -> bool:
    """Whether a background process runs; a build does not see it among its own processes."""
    with (home.path / "alive.lock").open("a") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _wait_for_lock(home: Home) -> None:
    """Wait until no background process of this home holds the lock of its whole life."""
    deadline = time.monotonic() + STOP_SECONDS
    with (home.path / "alive.lock").open("a") as lock:
        while time.monotonic() < deadline:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            else:
                return


def _is_daemon(pid: int) -> bool:
    """Whether the process is a background process: its ID alone may have been reused."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc").is_dir() and _exists(pid)
    # A process that is exiting has no command line any more.
    return (not command or b"sandbox.daemon" in command) and state != "Z"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _is_healthy(url: str) -> bool:
    try:
        with _DIRECT.open(f"{url}/_sandbox/health", timeout=RESPONSE_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
