"""Requests to dev's service under load, while pods, nodes, database and sandbox change or fail."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from bench.processes import ROOT
from bench.progress import report
from bench.row import Row

CLIENTS = 4
_DEPLOYMENT = "deployment/guestbook"
# The CPU request is low, so that the load reaches the target of the autoscaler on a busy machine.
_WORKLOAD = (
    *("-c", "workload.minimum=2", "-c", "workload.maximum=4"),
    *("-c", "workload.cpu_millicores=50"),
)
_WAIT = 240.0


@dataclass
class Outcome:
    """Requests during a scenario."""

    answered: int = 0
    unavailable: int = 0
    refused: int = 0
    """Connections that nothing accepted, so that no request was sent."""
    repeated: int = 0
    """Reads that were sent again because a reused connection was closed before the response."""
    lost: list[str] = field(default_factory=list)
    failure: str = ""


class Load:
    """Clients that read the page and store entries over keep-alive connections.

    Like browsers and curl, they send a read again whose reused connection was closed before the
    response (RFC 9110, section 9.2.2); an entry that is lost in this way counts as lost.
    """

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._outcome = Outcome()
        self.stored: set[str] = set()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the clients."""
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def take(self) -> Outcome:
        """Return the requests since the last call."""
        with self._lock:
            outcome, self._outcome = self._outcome, Outcome()
        return outcome

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        turn, reused = 0, False
        while not self._end.is_set():
            turn += 1
            message = f"client {number}, request {turn}" if turn % 5 == 0 else ""
            try:
                if connection.sock is None:
                    connection.connect()
                    reused = False
            except OSError:
                with self._lock:
                    self._outcome.refused += 1
                time.sleep(0.1)
                continue
            try:
                status, retry = self._send(connection, message, reused=reused)
                reused = True
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    self._outcome.lost.append(repr(error))
                continue
            with self._lock:
                if status in (200, 201):
                    self._outcome.answered += 1
                    self.stored |= {message} if message else set()
                elif status == 503 and retry:
                    self._outcome.unavailable += 1
                else:
                    self._outcome.lost.append(str(status))
            time.sleep(0.005)

    def _send(
        self, connection: http.client.HTTPConnection, message: str, *, reused: bool
    ) -> tuple[int, str | None]:
        try:
            return _request(connection, message)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            if message or not reused:
                raise
        connection.close()
        with self._lock:
            self._outcome.repeated += 1
        return _request(connection, message)


def _request(connection: http.client.HTTPConnection, message: str) -> tuple[int, str | None]:
    """Store an entry with the message, or read the page; return status and Retry-After."""
    if message:
        body = json.dumps({"name": "load", "message": message})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/entries", body=body, headers=headers)
    else:
        connection.request("GET", "/")
    response = connection.getresponse()
    response.read()
    return response.status, response.getheader("Retry-After")


class Stack:
    """The project's dev in a sandbox of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self._variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "PULUMI_", "KUBE"))
        } | {"SANDBOX_HOME": str(self.home)}

    def sandbox(self, *arguments: str) -> str:
        """Run a command of the sandbox; return its output. Raises RuntimeError."""
        return self._run([sys.executable, "-m", "sandbox", *arguments])

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the service's namespace; return its output. Raises RuntimeError."""
        return self._run(["kubectl", "--namespace", "guestbook", *arguments])

    def use(self) -> None:
        """Use the stack's account and cluster in later commands."""
        self._variables |= json.loads(self.sandbox("env", "dev", "--json"))["variables"]

    def rds(self) -> Any:
        """Return a client of the stack's account."""
        keys = {
            f"aws_{name}": self._variables[f"AWS_{name.upper()}"]
            for name in ("access_key_id", "secret_access_key")
        }
        endpoint, region = self._variables["AWS_ENDPOINT_URL"], self._variables["AWS_REGION"]
        return boto3.client("rds", endpoint_url=endpoint, region_name=region, **keys)

    def ready(self) -> int:
        """Return the number of ready pods of the deployment."""
        output = self.kubectl("get", _DEPLOYMENT, "-o", "jsonpath={.status.readyReplicas}")
        return int(output or 0)

    def settled(self) -> None:
        """Wait until a roll-out of the deployment has ended."""
        self.kubectl("rollout", "status", _DEPLOYMENT, f"--timeout={_WAIT:.0f}s")

    def _run(self, command: list[str]) -> str:
        ran = subprocess.run(
            command, cwd=ROOT, env=self._variables, capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise RuntimeError(f"{' '.join(command[-4:])}: {(ran.stdout + ran.stderr)[-600:]}")
        return ran.stdout


def _wait(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {_WAIT:.0f} s")
        time.sleep(0.5)


def _restart_pods(stack: Stack) -> None:
    stack.kubectl("rollout", "restart", _DEPLOYMENT)
    stack.settled()


def _drain(stack: Stack) -> None:
    pod = ("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    node = stack.kubectl(*pod)
    stack.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
    stack.settled()
    stack.kubectl("uncordon", node)


def _kill_pod(stack: Stack) -> None:
    name = stack.kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    stack.kubectl("delete", "pod", name, "--grace-period=0", "--force")
    stack.settled()


def _kill_background_process(stack: Stack) -> None:
    os.kill(json.loads((stack.home / "daemon.json").read_text())["pid"], signal.SIGKILL)
    time.sleep(2)
    stack.sandbox("preview", "dev", *_WORKLOAD)


def _reboot_database(stack: Stack) -> None:
    rds = stack.rds()
    (instance,) = rds.describe_db_instances()["DBInstances"]
    name = instance["DBInstanceIdentifier"]
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    _wait(
        "the database restarts",
        lambda: rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == "available",
    )


def _kill_database(stack: Stack) -> None:
    (file,) = stack.home.glob("databases/instances/*/data/postmaster.pid")
    first = file.read_text().split()[0]
    os.kill(int(first), signal.SIGKILL)
    _wait("PostgreSQL starts again", lambda: file.exists() and file.read_text().split()[0] != first)


def _stop_and_start(stack: Stack) -> None:
    stack.sandbox("stop")
    stack.sandbox("up", "dev", "--yes", "--skip-preview", *_WORKLOAD)
    stack.settled()


def _fail(change: Callable[[str], dict[str, Any]], reason: str) -> Callable[[Stack], None]:
    """Return a scenario that rolls out a change, waits for the reason, and rolls it back.

    `change` returns the fields of the pods' specification for the current image.
    """

    def fail(stack: Stack) -> None:
        path = "jsonpath={.spec.template.spec.containers[0].image}"
        image = stack.kubectl("get", _DEPLOYMENT, "-o", path)
        content = json.dumps({"spec": {"template": {"spec": change(image)}}})
        stack.kubectl("patch", _DEPLOYMENT, "--patch", content)
        try:
            _wait(reason, lambda: reason in stack.kubectl("get", "pods"))
        finally:
            stack.kubectl("rollout", "undo", _DEPLOYMENT)
            stack.settled()

    return fail


def _missing_image(image: str) -> dict[str, Any]:
    repository = image.split("@", maxsplit=1)[0]
    return {"containers": [{"name": "guestbook", "image": f"{repository}@sha256:{'0' * 64}"}]}


def _crash(_image: str) -> dict[str, Any]:
    return {"containers": [{"name": "guestbook", "command": ["false"]}]}


def _failing_migration(_image: str) -> dict[str, Any]:
    return {"initContainers": [{"name": "migrate", "command": ["false"]}]}


def _scale_under_load(stack: Stack) -> None:
    def replicas() -> int:
        return int(stack.kubectl("get", _DEPLOYMENT, "-o", "jsonpath={.spec.replicas}"))

    before = replicas()
    _wait("the autoscaler adds pods", lambda: replicas() > before)
    scaled = replicas()
    stack.sandbox("up", "dev", "--yes", "--skip-preview", *_WORKLOAD)
    if replicas() < scaled:
        raise RuntimeError(f"`up` reduced {scaled} replicas to {replicas()}")
    stack.settled()


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    "autoscaler adds pods during `up`": _scale_under_load,
    "all pods replaced": _restart_pods,
    "node drained": _drain,
    "release with a missing image": _fail(_missing_image, "ImagePullBackOff"),
    "release that crashes": _fail(_crash, "CrashLoopBackOff"),
    "release whose migration fails": _fail(_failing_migration, "Init:CrashLoopBackOff"),
    "database restarted": _reboot_database,
    "SIGKILL of PostgreSQL": _kill_database,
    "SIGKILL of the background process": _kill_background_process,
    "SIGKILL of a pod": _kill_pod,
    "`sandbox stop` and `up`": _stop_and_start,
}
# The clients of a killed pod see its connections end; the bar is that the service recovers.
_MAY_LOSE = {"SIGKILL of a pod"}


def measure(directory: Path) -> list[Row]:
    """Bring dev up, and run each scenario under load."""
    stack = Stack(directory)
    rows: list[Row] = []
    try:
        stack.sandbox("up", "dev", "--yes", "--skip-preview", *_WORKLOAD)
        stack.use()
        stack.settled()
        load = Load(stack.sandbox("url", "dev").strip())
        try:
            for name, scenario in SCENARIOS.items():
                rows.append(_row(name, _run(stack, load, scenario), may_lose=name in _MAY_LOSE))
                report(f"{name}: {rows[-1].result}")
        finally:
            load.stop()
        stored = stack.sandbox("psql", "dev", "--", "-Atc", "SELECT message FROM guestbook_entry")
        missing = load.stored - set(stored.splitlines())
        result = f"{len(missing)} of {len(load.stored):,} missing"
        rows.append(Row("entries that were confirmed", result, "", "", "0", not missing))
    finally:
        stack.sandbox("stop", "--force")
    return rows


def _run(stack: Stack, load: Load, scenario: Callable[[Stack], None]) -> Outcome:
    load.take()
    try:
        scenario(stack)
    except RuntimeError as error:
        outcome = load.take()
        outcome.failure = str(error)
        return outcome
    time.sleep(2)
    outcome = load.take()
    _wait("the service answers again", lambda: load.take().answered > 20)
    return outcome


def _row(name: str, outcome: Outcome, *, may_lose: bool) -> Row:
    lost = outcome.lost
    sent = outcome.answered + outcome.unavailable + len(lost)
    parts = [f"{len(lost)} of {sent:,} lost"]
    parts += [f"{outcome.unavailable} answered with 503"] if outcome.unavailable else []
    parts += [f"{outcome.refused} connections refused"] if outcome.refused else []
    parts += [f"{outcome.repeated} reads sent again"] if outcome.repeated else []
    parts += [f"first: {lost[0]}"] if lost else []
    parts += [outcome.failure] if outcome.failure else []
    met = not outcome.failure and (may_lose or not lost)
    return Row(name, "; ".join(parts), "", "", "recovers" if may_lose else "0 lost", met)
