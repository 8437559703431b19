"""A new batch of builds in the shape of botocore's `BuildBatch`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sandbox.contracts.build_record import new_build
from sandbox.contracts.build_runner import BatchOrder

_SHARED = ("source", "secondarySources", "secondarySourceVersions", "cache", "environment",
           "serviceRole", "queuedTimeoutInMinutes", "vpcConfig", "encryptionKey", "artifacts",
           "secondaryArtifacts", "startTime", "initiator", "sourceVersion", "projectName",
           "fileSystemLocations")  # fmt: skip


def new_batch(order: BatchOrder, moment: datetime) -> dict[str, Any]:
    """Return the record of a batch that was submitted at a moment."""
    build = new_build(order.build(), moment)
    return {
        **{name: build[name] for name in _SHARED if name in build},
        "id": order.id,
        "arn": order.arn,
        "buildBatchNumber": order.number,
        "buildBatchStatus": "IN_PROGRESS",
        "complete": False,
        "currentPhase": "SUBMITTED",
        "phases": [{"phaseType": "SUBMITTED", "startTime": moment}],
        "buildTimeoutInMinutes": order.project["timeoutInMinutes"],
        "buildBatchConfig": order.project["buildBatchConfig"],
        "logConfig": order.project.get("logsConfig") or {},
        "buildGroups": [],
    }
