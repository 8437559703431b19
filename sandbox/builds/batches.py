"""Runs batches of builds: graphs, lists and matrices.

Source: CodeBuild User Guide, "Run builds in batches" and "Batch build buildspec reference".
"""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds import buildspec as buildspecs
from sandbox.builds import sources
from sandbox.builds.aws_session import AwsSession
from sandbox.builds.build import Surroundings
from sandbox.builds.buildspec import Batch, Matrix, Task, TaskEnvironment
from sandbox.builds.errors import PhaseError
from sandbox.builds.record import BatchRecord
from sandbox.contracts.batch_record import new_batch
from sandbox.contracts.build_record import utc
from sandbox.contracts.build_runner import BATCH_HEADER, PIPELINE_HEADER, BatchOrder

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_MAXIMUM_BUILDS = 100
_SESSION = "AWSCodeBuild-batch"
GetBuild = Callable[[str], Mapping[str, Any] | None]


class BatchRunner:
    """Runs batches in threads; each has a directory below `directory`."""

    def __init__(self, directory: Path, surroundings: Surroundings, build: GetBuild) -> None:
        self._directory, self._surroundings, self._build = directory, surroundings, build
        self._batches: dict[str, BatchRun] = {}
        self._records: dict[str, BatchRecord] = {}
        self._lock = threading.Lock()

    def start(self, order: BatchOrder) -> None:
        """Start a batch; a known ID is ignored."""
        with self._lock:
            if order.id in self._records:
                return
            path = self._directory / order.id.partition(":")[2]
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            record = BatchRecord(path / "batch.json", new_batch(order, utc(time.time())))
            record.save()
            self._records[order.id] = record
            run = self._batches[order.id] = BatchRun(
                order, record, path / "work", self._surroundings, self._build
            )
        threading.Thread(target=run.run, name=f"batch {order.id}", daemon=True).start()

    def stop(self, id: str, *, status: str = "STOPPED") -> None:
        """Stop a batch and its builds; one that has ended is ignored."""
        if (run := self._batches.get(id)) is not None:
            run.stop(status)

    def batch(self, id: str) -> Mapping[str, Any] | None:
        """Return the record, or None."""
        record = self._records.get(id)
        return record.content() if record is not None else None

    def delete(self, id: str) -> None:
        """Stop a batch and delete its record."""
        self.stop(id)
        with self._lock:
            self._records.pop(id, None)
            self._batches.pop(id, None)
        shutil.rmtree(self._directory / id.partition(":")[2], ignore_errors=True)

    def close(self, reason: str) -> None:
        """End all batches as failed."""
        for id in list(self._batches):
            self.stop(id, status="FAILED")
            record = self._records[id]
            if not record.is_complete:
                record.fail_interrupted(reason)

    def restore(self, reason: str) -> None:
        """Read the records; batches that an ended process has left running have failed."""
        for path in self._directory.glob("*/batch.json"):
            try:
                record = BatchRecord.load(path)
            except ValueError:
                continue  # a machine that lost power may leave an empty file
            if not record.is_complete:
                record.fail_interrupted(reason)
            shutil.rmtree(path.parent / "work", ignore_errors=True)
            self._records[record.id] = record


class BatchRun:
    """One batch in its thread."""

    def __init__(
        self,
        order: BatchOrder,
        record: BatchRecord,
        directory: Path,
        surroundings: Surroundings,
        build: GetBuild,
    ) -> None:
        self._order, self._record, self._directory = order, record, directory
        self._surroundings, self._build = surroundings, build
        self._stopped = threading.Event()
        self._status = "STOPPED"
        self._groups: dict[str, dict[str, Any]] = {}
        self._ids: dict[str, str] = {}

    def stop(self, status: str) -> None:
        """End the batch with a status."""
        self._status = status
        self._stopped.set()

    def run(self) -> None:
        """Run the batch to its end."""
        record, status = self._record, "FAILED"
        try:
            record.end_phase()
            record.begin_phase("DOWNLOAD_BATCHSPEC")
            own = self._surroundings.session(self._order.region)
            batch = self._batch(own)
            tasks = tasks_of(batch)
            self._check_restrictions(tasks)
            record.end_phase()
            record.begin_phase("IN_PROGRESS")
            status = self._run_tasks(tasks, self._client(own), fast_fail=batch.fast_fail)
            record.end_phase(None if status == "SUCCEEDED" else PhaseError("", "", status=status))
        except PhaseError as error:
            record.end_phase(error)
        except Exception as error:  # noqa: BLE001 - a batch must end
            _LOG.exception("batch %s", self._order.id)
            record.end_phase(PhaseError("INTERNAL_ERROR", f"{type(error).__name__}: {error}"))
        shutil.rmtree(self._directory, ignore_errors=True)
        if not record.is_complete:  # `close` has ended it
            record.complete(status)

    def _batch(self, own: AwsSession) -> Batch:
        project, source = self._order.project, self._directory / "src"
        text = str(project["source"].get("buildspec") or "")
        if "\n" not in text.strip():
            session = own.assume(project["serviceRole"], _SESSION, project["arn"])
            source = sources.download(
                self._order.build(), self._directory, session, self._surroundings.repository
            ).primary
        return buildspecs.parse_batch(buildspecs.text_of(project, source)[0])

    def _client(self, own: AwsSession) -> Any:
        """Return a client of the batch's service role that names the batch."""
        project = self._order.project
        role = project["buildBatchConfig"]["serviceRole"]
        headers = {BATCH_HEADER: self._order.id}
        if self._order.pipeline is not None:
            headers[PIPELINE_HEADER] = json.dumps(asdict(self._order.pipeline))
        client = own.assume(role, _SESSION, project["arn"]).client("codebuild")

        def add(params: dict[str, Any], **_: Any) -> None:
            params["headers"].update(headers)

        client.meta.events.register("before-call.codebuild.StartBuild", add)
        return client

    def _check_restrictions(self, tasks: Sequence[Task]) -> None:
        restrictions = self._order.project["buildBatchConfig"].get("restrictions") or {}
        limit = restrictions.get("maximumBuildsAllowed") or _MAXIMUM_BUILDS
        if len(tasks) > limit:
            raise PhaseError(
                "CLIENT_ERROR", f"the batch has {len(tasks)} builds; {limit} are allowed"
            )
        allowed = restrictions.get("computeTypesAllowed") or ()
        for task in tasks:
            if allowed and task.env.compute_type and task.env.compute_type not in allowed:
                raise PhaseError(
                    "CLIENT_ERROR",
                    f"the compute type {task.env.compute_type} of {task.identifier} is not allowed",
                )

    def _run_tasks(self, tasks: Sequence[Task], client: Any, *, fast_fail: bool) -> str:
        """Start each task when its dependencies have succeeded; return the batch's status."""
        self._groups = {
            task.identifier: {
                "identifier": task.identifier,
                "dependsOn": task.depend_on,
                "ignoreFailure": task.ignore_failure,
            }
            for task in tasks
        }
        waiting = {task.identifier: task for task in tasks}
        passed: set[str] = set()
        failed: set[str] = set()
        while True:
            for identifier, task in list(waiting.items()):
                if failed.intersection(task.depend_on):
                    failed.add(identifier)
                    del waiting[identifier]
                elif passed.issuperset(task.depend_on):
                    self._start(client, waiting.pop(identifier))
            running = self._update(tasks, passed, failed)
            if not running and not waiting:
                break
            if self._stopped.wait(_POLL_SECONDS) or (fast_fail and failed):
                self._stop_builds(client, running)
                self._update(tasks, passed, failed)
                break
        if self._stopped.is_set():
            return self._status
        return "FAILED" if failed else "SUCCEEDED"

    def _start(self, client: Any, task: Task) -> None:
        environment, overrides = task.env, dict[str, Any]()
        if task.buildspec:
            overrides["buildspecOverride"] = task.buildspec
        for member, value in {
            "imageOverride": environment.image,
            "computeTypeOverride": environment.compute_type,
            "environmentTypeOverride": environment.type,
            "privilegedModeOverride": environment.privileged_mode,
        }.items():
            if value:
                overrides[member] = value
        variables = environment.variables | {"CODEBUILD_BATCH_BUILD_IDENTIFIER": task.identifier}
        try:
            build = client.start_build(
                projectName=self._order.project["name"],
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"}
                    for name, value in variables.items()
                ],
                **overrides,
            )["build"]
        except ClientError as error:
            raise PhaseError("CLIENT_ERROR", error.response["Error"]["Message"]) from None
        self._ids[task.identifier] = build["id"]

    def _update(self, tasks: Sequence[Task], passed: set[str], failed: set[str]) -> list[str]:
        """Record the builds' states; return the IDs of those that run."""
        running = []
        for task in tasks:
            id = self._ids.get(task.identifier)
            build = self._build(id) if id else None
            if id is None or build is None:
                continue
            self._groups[task.identifier]["currentBuildSummary"] = {
                "arn": build["arn"],
                "requestedOn": build["startTime"],
                "buildStatus": build["buildStatus"],
                "primaryArtifact": {"type": self._order.project["artifacts"]["type"]},
                "secondaryArtifacts": [],
            }
            if not build["buildComplete"]:
                running.append(id)
            elif build["buildStatus"] == "SUCCEEDED" or task.ignore_failure:
                passed.add(task.identifier)
            else:
                failed.add(task.identifier)
        groups = list(self._groups.values())
        if groups != self._record.content()["buildGroups"]:
            self._record.update(buildGroups=groups)
        return running

    def _stop_builds(self, client: Any, ids: Sequence[str]) -> None:
        for id in ids:
            try:
                client.stop_build(id=id)
            except ClientError as error:
                _LOG.warning("batch %s: %s", self._order.id, error)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(
            (build := self._build(id)) and not build["buildComplete"] for id in ids
        ):
            time.sleep(_POLL_SECONDS)


def tasks_of(batch: Batch) -> list[Task]:
    """Return the builds of a batch. Raises PhaseError for unknown or circular dependencies."""
    tasks = _combinations(batch.build_matrix) if batch.build_matrix else batch.build_list
    tasks = [
        task if task.identifier else task.model_copy(update={"identifier": f"build{number}"})
        for number, task in enumerate(tasks or batch.build_graph)
    ]
    identifiers = [task.identifier for task in tasks]
    if len(set(identifiers)) < len(identifiers):
        raise PhaseError("YAML_FILE_ERROR", "the identifiers of a batch must be unique")
    pending, done = list(tasks), set[str]()
    while ready := [task for task in pending if done.issuperset(task.depend_on)]:
        done.update(task.identifier for task in ready)
        pending = [task for task in pending if task not in ready]
    for task in pending:
        unknown = [name for name in task.depend_on if name not in identifiers]
        reason = f"unknown: {unknown[0]}" if unknown else "circular"
        raise PhaseError("YAML_FILE_ERROR", f"depend-on of {task.identifier} is {reason}")
    return tasks


def _combinations(matrix: Matrix) -> list[Task]:
    environment = matrix.dynamic.env
    names = list(environment.variables)
    dimensions = [
        matrix.dynamic.buildspec or [""],
        environment.image or [""],
        environment.compute_type or [""],
        *(environment.variables[name] for name in names),
    ]
    static = matrix.static.env
    return [
        Task.model_construct(
            buildspec=buildspec,
            ignore_failure=matrix.static.ignore_failure,
            env=TaskEnvironment.model_construct(
                type=static.type,
                privileged_mode=static.privileged_mode,
                image=image or static.image,
                compute_type=compute_type or static.compute_type,
                variables=static.variables | dict(zip(names, values, strict=True)),
            ),
        )
        for buildspec, image, compute_type, *values in itertools.product(*dimensions)
    ]
