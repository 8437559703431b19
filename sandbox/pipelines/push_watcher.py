"""Starts pipelines and builds for pushes, which a repository's hook reports as files.

A push while the background process does not run starts them later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.contracts.pipeline_runner import PipelineFacts, PipelineRefusalError
from sandbox.pipelines.account_clients import AccountClients
from sandbox.pipelines.repositories import PUSHES, Repositories, RepositoryError
from sandbox.pipelines.runner import CodePipelineRunner
from sandbox.pipelines.triggers import Push, source_event, started_by

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.1


class PushWatcher:
    """Watches the repositories in a thread."""

    def __init__(
        self, repositories: Repositories, runner: CodePipelineRunner, clients: AccountClients
    ) -> None:
        self._repositories, self._runner, self._clients = repositories, runner, clients
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pushes", daemon=True)

    def start(self) -> None:
        """Watch until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def handle_reported(self) -> None:
        """Handle the pushes that hooks have reported."""
        for file in sorted(self._repositories.directory.glob(f"*/*.git/{PUSHES}/*.push")):
            for push in _pushes(file):
                self._handle(push)
            file.unlink(missing_ok=True)

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                self.handle_reported()
            except OSError as error:
                _LOG.error("pushes cannot be read: %s", error)

    def _handle(self, push: Push) -> None:
        changed_files = partial(
            self._repositories.changed_files, push.repository, push.old, push.commit
        )
        for pipeline in self._runner.facts():
            try:
                for order in started_by(pipeline, push, changed_files):
                    if self._is_connected(pipeline):
                        self._runner.start(order)
                        _LOG.info("%s starts %s", push.reference, pipeline.name)
            except (PipelineRefusalError, RepositoryError, ClientError, BotoCoreError) as error:
                _LOG.error("%s of %s: %s", push.reference, push.repository, error)
        try:
            self._clients.report(source_event(push))
        except OSError as error:
            _LOG.error("webhooks of %s: %s", push.repository, error)

    def _is_connected(self, pipeline: PipelineFacts) -> bool:
        """Whether the connections are complete: without, a repository reports no pushes."""
        for action in pipeline.definition["stages"][0]["actions"]:
            arn = (action.get("configuration") or {}).get("ConnectionArn")
            if arn:
                client = self._clients.own(arn.split(":")[2], pipeline.region)
                connection = client.get_connection(ConnectionArn=arn)["Connection"]
                if connection["ConnectionStatus"] != "AVAILABLE":
                    return False
        return True


def _pushes(file: Path) -> Iterator[Push]:
    """Yield the lines of a hook's input: old and new commit, reference."""
    repository = file.parents[1]
    name = f"{repository.parent.name}/{repository.name.removesuffix('.git')}"
    for line in file.read_text().splitlines():
        parts = line.split(maxsplit=2)
        if len(parts) == 3:
            yield Push(repository=name, old=parts[0], new=parts[1], reference=parts[2])
