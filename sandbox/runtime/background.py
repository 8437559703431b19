"""The background process that holds the account, Kubernetes, the registry and the providers, so that they outlive commands.

`ensure_running` starts it when it isn't there (or runs older code), `stop` ends it. The process itself is
`python -m sandbox.daemon`; it writes its ports to `.sandbox/daemon.json` once everything answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sandbox.engine.loopback import reaching_loopback
from sandbox.runtime.environment import NO_REAL_ACCOUNT, clean_environment
from sandbox.runtime.home import PROJECT_DIRECTORY, Home

# A start replays the account's journal, some 4 ms for each request on 2 cores.
START_SECONDS = 600.0
STOP_SECONDS = 20.0
PATIENCE_SECONDS = 3.0  # of a start that says nothing
ANSWER_SECONDS = 60.0  # a process that is there and silent for longer is taken to hang, and replaced

# The emulated account accepts any key; these are plainly not real ones.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIASANDBOXSANDBOX00", "AWS_SECRET_ACCESS_KEY": "sandbox"}


# Without the proxies of the environment, which would be asked for loopback too.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DaemonError(Exception):
    """The background process didn't start or stop; the text says why and where to look."""


class Running(BaseModel):
    """The background process's announcement: its process id, and where its parts listen."""

    model_config = ConfigDict(frozen=True)

    pid: int
    code: str
    time_scale: float
    account: str
    kubernetes: str
    registry: str
    providers: dict[str, int]

    def environment(self, home: Home, region: str) -> dict[str, str]:
        """The variables that send AWS clients, Pulumi and its providers to the sandbox."""
        return {
            "AWS_ENDPOINT_URL": self.account,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **CREDENTIALS,
            **NO_REAL_ACCOUNT,
            **reaching_loopback(os.environ),
            "PULUMI_BACKEND_URL": home.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(home.passphrase_file),
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{name}:{port}" for name, port in sorted(self.providers.items())),
            "SANDBOX_HOME": str(home.path),
        }


def code_fingerprint() -> str:
    """A digest of the sandbox's source: a process that runs older code is replaced."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        digest.update(str(file).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def find(home: Home) -> Running | None:
    """The running background process, or None when there is none."""
    try:
        running = Running.model_validate_json(home.announcement.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return running if _alive(running.pid) and _answers(running.account) else None


def ensure_running(home: Home, *, time_scale: float = 0.0) -> Running:
    """Start the background process unless it runs with this code and time scale already.

    `time_scale` multiplies AWS's provisioning times; 0 makes everything ready at once.
    Raises DaemonError when it doesn't answer in time, or would have to end while another command is at work with it.
    """
    with home.locked("daemon"):
        running = find(home)
        if running and running.code == code_fingerprint() and running.time_scale == time_scale:
            return running
        if running:
            other = (
                "its code has changed"
                if running.time_scale == time_scale
                else f"it runs with --time-scale {running.time_scale:g}"
            )
            _refuse_while_at_work(home, f"the sandbox can't start anew now, as it has to ({other})")
        _end(home)
        return _start(home, time_scale)


def stop(home: Home, *, force: bool = False) -> bool:
    """End the background process; True when there was one. The account's contents stay on disk.

    Raises DaemonError while another command is at work with it, unless `force` cuts that off.
    """
    with home.locked("daemon"):
        if not force:
            _refuse_while_at_work(home, "the sandbox was left running")
        return _end(home)


def _refuse_while_at_work(home: Home, what: str) -> None:
    if others := home.at_work():
        raise DaemonError(
            f"{' and '.join(map(str, others))} {'is' if len(others) == 1 else 'are'} at work, so {what}. "
            "Wait for that to end, or end it with Ctrl-C in its terminal; `python -m sandbox stop --force` cuts it off."
        )


def inventory(running: Running) -> dict[str, Any]:
    """Everything that the emulated account holds, as the account tells it."""
    with _DIRECT.open(f"{running.account}/_sandbox/inventory", timeout=ANSWER_SECONDS) as answer:
        contents: dict[str, Any] = json.load(answer)
    return contents


def _start(home: Home, time_scale: float) -> Running:
    home.prepare()
    home.passphrase()
    home.announcement.unlink(missing_ok=True)
    log = home.daemon_log
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", "--home", str(home.path), "--time-scale", str(time_scale)],
            cwd=PROJECT_DIRECTORY,
            env=clean_environment() | {"PYTHONPATH": str(PROJECT_DIRECTORY)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    began = time.monotonic()
    told = False
    while time.monotonic() < began + START_SECONDS:
        if not told and time.monotonic() > began + PATIENCE_SECONDS:
            sys.stderr.write("The sandbox starts; it takes up what it held.\n")
            told = True
        running = find(home)
        if running:
            return running
        if process.poll() is not None:
            raise DaemonError(
                f"the sandbox's background process ended with code {process.returncode}: {_last_words(log)}\nIts log: {log}"
            )
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    raise DaemonError(f"the sandbox's background process didn't answer within {START_SECONDS:.0f} s. Its log: {log}")


def ended(running: Running) -> bool:
    """Whether this very process is no more."""
    return not _alive(running.pid)


def announced(home: Home) -> int | None:
    """The process id in the announcement, whether or not it still runs."""
    try:
        return Running.model_validate_json(home.announcement.read_text()).pid
    except (FileNotFoundError, ValueError):
        return None


def _end(home: Home) -> bool:
    pid = announced(home)
    if pid is None:
        return False
    there = _alive(pid)
    if there:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(pid):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.02)
    home.announcement.unlink(missing_ok=True)
    return there


def _alive(pid: int) -> bool:
    """Whether the process is our background process: a number alone may have been given to another since."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return _exists(pid) and not Path("/proc").is_dir()
    return b"sandbox.daemon" in command and state != "Z"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(f"{url}/_sandbox/health", timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
