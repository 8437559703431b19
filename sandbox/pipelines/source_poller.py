"""Starts pipelines whose S3 source is polled, when the object has a new version.

Source: CodePipeline User Guide, "Amazon S3 source action reference": PollForSourceChanges is
true by default.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.contracts.pipeline_runner import ExecutionOrder, PipelineFacts, PipelineRefusalError
from sandbox.pipelines.account_clients import AccountClients
from sandbox.pipelines.records import LIVE
from sandbox.pipelines.runner import CodePipelineRunner

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 2.0


class SourcePoller:
    """Polls in a thread, under the roles of the pipelines."""

    def __init__(self, runner: CodePipelineRunner, clients: AccountClients) -> None:
        self._runner, self._clients = runner, clients
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="source-poller", daemon=True)

    def start(self) -> None:
        """Poll until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> None:
        """Look at each object once."""
        for pipeline in self._runner.facts():
            for action in pipeline.definition["stages"][0]["actions"]:
                if _is_polled(action):
                    try:
                        self._poll(pipeline, action)
                    except (PipelineRefusalError, ClientError, BotoCoreError) as error:
                        _LOG.info("%s is not polled: %s", pipeline.name, error)

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            self.poll()

    def _poll(self, pipeline: PipelineFacts, action: Mapping[str, Any]) -> None:
        executions = self._runner.executions(pipeline.arn)
        revisions = [
            {item["actionName"]: item.get("revisionId") for item in execution["sourceRevisions"]}
            for execution in executions
        ]
        name, configuration = action["name"], action["configuration"]
        fetches = any(
            execution["status"] in LIVE and name not in revision
            for execution, revision in zip(executions, revisions, strict=True)
        )
        if fetches:  # that execution reads the newest version
            return
        role = self._clients.assume(
            pipeline.region,
            pipeline.name,
            action.get("roleArn") or pipeline.definition["roleArn"],
        )
        newest = role.client("s3").head_object(
            Bucket=configuration["S3Bucket"], Key=configuration["S3ObjectKey"]
        )
        version = str(newest.get("VersionId", ""))
        if not version or any(revision.get(name) == version for revision in revisions):
            return
        declared = pipeline.definition.get("variables") or []
        order = ExecutionOrder(
            id=str(uuid.uuid4()),
            pipeline_arn=pipeline.arn,
            trigger=("PollForSourceChanges", name),
            variables={item["name"]: item.get("defaultValue", "") for item in declared},
        )
        self._runner.start(order)
        _LOG.info("version %s of the source starts %s", version, pipeline.name)


def _is_polled(action: Mapping[str, Any]) -> bool:
    polls = (action.get("configuration") or {}).get("PollForSourceChanges", "true")
    return action["actionTypeId"]["provider"] == "S3" and str(polls).lower() == "true"
