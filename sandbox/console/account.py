"""The account's clients and the clusters' clients, kept between the requests of the page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.cli.pipeline_session import PipelineSession, find_pipeline
from sandbox.console.documents import RefusedError
from sandbox.console.stacks import Stacks
from sandbox.providers.kubernetes.client import Client
from sandbox.runtime import kubeconfig
from sandbox.runtime.background import DaemonInfo, read_info
from sandbox.runtime.home import Home


@dataclass(frozen=True, kw_only=True)
class ConsoleSession(PipelineSession):
    """A stack's pipeline; its clients are created once."""

    account: Account

    def client(self, service: str) -> Any:
        """Return a boto3 client."""
        return self.account.client(service, self.region, super().client)


def _alive(home: Home) -> DaemonInfo | None:
    running = read_info(home)
    return running if running and running.is_alive else None


class Account:
    """Clients of the sandbox's background process."""

    def __init__(
        self, stacks: Stacks, find_running: Callable[[Home], DaemonInfo | None] = _alive
    ) -> None:
        self._stacks, self._find_running = stacks, find_running
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._clusters: dict[str, tuple[tuple[str, str], Client]] = {}

    def session(self, stack: str) -> ConsoleSession | None:
        """Return the stack's pipeline, or None if it has none. Raises RefusedError."""
        pipeline = find_pipeline(self._stacks.resources(stack))
        return None if pipeline is None else self._session(stack, *pipeline)

    def require_session(self, stack: str) -> ConsoleSession:
        """Return the stack's pipeline. Raises RefusedError."""
        session = self.session(stack)
        if session is None:
            raise RefusedError(f"Stack {stack} has no pipeline; `sandbox up {stack}` creates it.")
        return session

    def ecr(self, region: str) -> Any:
        """Return a client of ECR."""
        return self._session("", "", region).client("ecr")

    def cluster(self, stack: str) -> Client | None:
        """Return a client of the stack's cluster, or None if the stack exports no kubeconfig."""
        running = self._running()
        content = self._stacks.secret_output(stack, "kubeconfig")
        if content is None:
            return None
        key = (running.account, str(content))
        with self._lock:
            cached = self._clusters.get(stack)
            if cached is None or cached[0] != key:
                variables = running.environment(self._stacks.home, "us-east-1")
                path = kubeconfig.write(self._stacks.home, stack, content, variables)
                cached = self._clusters[stack] = (key, Client(path.read_text()))
        return cached[1]

    def client(self, service: str, region: str, create: Any) -> Any:
        """Return the client of a service; `create(service)` makes it."""
        key = (self._running().account, service, region)
        with self._lock:  # boto3 creates clients in one thread at a time only
            if key not in self._clients:
                self._clients[key] = create(service)
            return self._clients[key]

    def _session(self, stack: str, name: str, region: str) -> ConsoleSession:
        home, url = self._stacks.home, self._running().account
        return ConsoleSession(
            home=home, stack=stack, name=name, region=region, url=url, account=self
        )

    def _running(self) -> DaemonInfo:
        running = self._find_running(self._stacks.home)
        if running is None:
            raise RefusedError(
                "The sandbox's background process does not run; `sandbox up STACK` starts it.", 503
            )
        return running
