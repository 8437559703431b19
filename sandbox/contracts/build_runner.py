"""Protocol between the account and the runner of CodeBuild builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

PIPELINE_HEADER = "X-Sandbox-Pipeline-Build"
"""Passes the JSON of a PipelineBuild to StartBuild and StartBuildBatch."""
BATCH_HEADER = "X-Sandbox-Batch"
"""Passes the ID of the batch to StartBuild."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An artifact of a pipeline: its name, and the object of its archive in S3."""

    name: str
    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True)
class PipelineBuild:
    """The part of a build that its pipeline execution decides.

    `initiator` is "codepipeline/NAME"; `execution_id` is the pipeline execution. `primary` names
    the input artifact whose content is CODEBUILD_SRC_DIR. Archives of inputs and outputs are zip
    files; outputs are encrypted with `encryption_key`, a key ARN or "" for the bucket's default.
    """

    initiator: str
    execution_id: str
    inputs: Sequence[Artifact]
    primary: str
    outputs: Sequence[Artifact]
    encryption_key: str = ""


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """A build to run.

    `id` is "PROJECT:UUID" and `number` counts the project's builds. `project` is the project with
    the overrides of StartBuild applied, in the shape of botocore's `Project`. `variables` are those
    that CodeBuild sets in the builds of a webhook.

    `role_chain` has the roles of an action whose commands run in CodePipeline itself: it assumes
    the first, and each other role through the one before. Otherwise, CodeBuild assumes the
    project's service role.
    """

    id: str
    arn: str
    number: int
    region: str
    project: Mapping[str, Any] = field(repr=False)
    pipeline: PipelineBuild | None = None
    initiator: str = ""
    source_version: str = ""
    batch_arn: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    role_chain: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """A batch of builds to run; its members are those of BuildOrder."""

    id: str
    arn: str
    number: int
    region: str
    project: Mapping[str, Any] = field(repr=False)
    pipeline: PipelineBuild | None = None
    initiator: str = ""
    source_version: str = ""

    def build(self) -> BuildOrder:
        """Return a build with the batch's project and source."""
        return BuildOrder(**{item.name: getattr(self, item.name) for item in fields(self)})


class BuildRunner(Protocol):
    """Runs builds.

    Methods are thread-safe and return at once. A build that this process did not start and that
    has not ended is reported as failed, never as running.
    """

    def start(self, order: BuildOrder) -> None:
        """Queue a build; an ID that is known is ignored."""
        ...

    def stop(self, id: str) -> None:
        """Stop a build; one that has ended is ignored."""
        ...

    def build(self, id: str) -> Mapping[str, Any] | None:
        """Return a build in the shape of botocore's `Build`, or None if the ID is unknown.

        `exportedEnvironmentVariables`, `phases`, `logs` and `artifacts` are as AWS returns them.
        """
        ...

    def builds(self, project: str | None = None) -> Sequence[str]:
        """Return build IDs, newest first."""
        ...

    def delete(self, id: str) -> None:
        """Delete a build's record and files; an unknown ID is ignored."""
        ...

    def start_batch(self, order: BatchOrder) -> None:
        """Start a batch, which starts its builds with StartBuild; a known ID is ignored."""
        ...

    def stop_batch(self, id: str) -> None:
        """Stop a batch and its builds; one that has ended is ignored."""
        ...

    def batch(self, id: str) -> Mapping[str, Any] | None:
        """Return a batch in the shape of botocore's `BuildBatch`, or None if it is unknown."""
        ...

    def delete_batch(self, id: str) -> None:
        """Delete a batch's record, not its builds; an unknown ID is ignored."""
        ...
