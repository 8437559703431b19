"""A new build in the shape of botocore's `Build`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sandbox.contracts.build_runner import BuildOrder

# Members of a project that its builds have too.
_SHARED = (
    "source",
    "secondarySources",
    "secondarySourceVersions",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "vpcConfig",
    "encryptionKey",
    "fileSystemLocations",
)


def new_build(order: BuildOrder, moment: datetime) -> dict[str, Any]:
    """Return the record of a build that was submitted at a moment."""
    project = order.project
    build: dict[str, Any] = {
        "id": order.id,
        "arn": order.arn,
        "buildNumber": order.number,
        "startTime": moment,
        "currentPhase": "QUEUED",
        "buildStatus": "IN_PROGRESS",
        "buildComplete": False,
        "projectName": project["name"],
        "phases": [
            {
                "phaseType": "SUBMITTED",
                "phaseStatus": "SUCCEEDED",
                "startTime": moment,
                "endTime": moment,
                "durationInSeconds": 0,
            },
            {"phaseType": "QUEUED", "startTime": moment},
        ],
        "artifacts": _artifacts(project["artifacts"]),
        "logs": log_location(order),
        "initiator": order.initiator,
        "exportedEnvironmentVariables": [],
        **{name: project[name] for name in _SHARED if project.get(name) is not None},
    }
    if project.get("secondaryArtifacts"):
        build["secondaryArtifacts"] = [_artifacts(item) for item in project["secondaryArtifacts"]]
    if order.batch_arn:
        build["buildBatchArn"] = order.batch_arn
    if order.source_version:
        build["sourceVersion"] = order.source_version
    return build


def failed_build(order: BuildOrder, moment: datetime, code: str, message: str) -> dict[str, Any]:
    """Return the record of a build that ended before a phase of its own."""
    build = new_build(order, moment)
    build["phases"][-1] |= {
        "phaseStatus": "FAILED",
        "endTime": moment,
        "durationInSeconds": 0,
        "contexts": [{"statusCode": code, "message": message}],
    }
    build["phases"].append({"phaseType": "COMPLETED", "startTime": moment})
    return build | {
        "buildStatus": "FAILED",
        "buildComplete": True,
        "currentPhase": "COMPLETED",
        "endTime": moment,
    }


def utc(timestamp: float) -> datetime:
    """Return a time as the account's responses have it: UTC without a zone."""
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)


def log_location(order: BuildOrder) -> dict[str, Any]:
    """Return where the build's log is: by default the group /aws/codebuild/PROJECT."""
    config = order.project.get("logsConfig") or {}
    logs = {"status": "ENABLED", **(config.get("cloudWatchLogs") or {})}
    location: dict[str, Any] = {
        "cloudWatchLogs": logs,
        "s3Logs": {"status": "DISABLED", **(config.get("s3Logs") or {})},
    }
    if logs["status"] == "ENABLED":
        group = logs.get("groupName") or f"/aws/codebuild/{order.project['name']}"
        stream = order.id.partition(":")[2]
        if logs.get("streamName"):
            stream = f"{logs['streamName']}/{stream}"
        account = order.arn.split(":")[4]
        location |= {
            "groupName": group,
            "streamName": stream,
            "cloudWatchLogsArn": (
                f"arn:aws:logs:{order.region}:{account}:log-group:{group}:log-stream:{stream}"
            ),
        }
    return location


def _artifacts(project_artifacts: dict[str, Any]) -> dict[str, Any]:
    artifacts = {"location": ""}
    if project_artifacts["type"] == "S3":
        parts = (project_artifacts["location"], project_artifacts.get("path", "").strip("/"))
        path = "/".join(part for part in (*parts, project_artifacts.get("name", "")) if part)
        artifacts["location"] = f"arn:aws:s3:::{path}"
    if project_artifacts.get("artifactIdentifier"):
        artifacts["artifactIdentifier"] = project_artifacts["artifactIdentifier"]
    return artifacts
