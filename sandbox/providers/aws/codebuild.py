"""CodeBuild projects and report groups. Only a new name replaces; the ID is the ARN (projects are
also imported by name).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map, without_none
from sandbox.providers.aws.properties import (
    Property,
    between,
    block,
    boolean,
    integer,
    length,
    list_of,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_SOURCES = [
    "BITBUCKET",
    "CODECOMMIT",
    "CODEPIPELINE",
    "GITHUB",
    "GITHUB_ENTERPRISE",
    "GITLAB",
    "GITLAB_SELF_MANAGED",
    "NO_SOURCE",
    "S3",
]
_ENVIRONMENTS = [
    "ARM_CONTAINER",
    "ARM_EC2",
    "ARM_LAMBDA_CONTAINER",
    "LINUX_CONTAINER",
    "LINUX_EC2",
    "LINUX_GPU_CONTAINER",
    "LINUX_LAMBDA_CONTAINER",
    "MAC_ARM",
    "WINDOWS_CONTAINER",
    "WINDOWS_EC2",
    "WINDOWS_SERVER_2019_CONTAINER",
    "WINDOWS_SERVER_2022_CONTAINER",
]

_SOURCE: Mapping[str, Property] = {
    "type": text(required=True, one_of=_SOURCES),
    "location": text(),
    "buildspec": text(),
    "gitCloneDepth": integer(),
    "gitSubmodulesConfig": block({"fetchSubmodules": boolean(required=True)}),
    "insecureSsl": boolean(),
    "reportBuildStatus": boolean(),
    "buildStatusConfig": block({"context": text(), "targetUrl": text()}),
    "auth": block(
        {
            "type": text(required=True, one_of=("CODECONNECTIONS", "SECRETS_MANAGER")),
            "resource": text(),
        }
    ),
}
_ARTIFACTS: Mapping[str, Property] = {
    "type": text(required=True, one_of=("CODEPIPELINE", "NO_ARTIFACTS", "S3")),
    "artifactIdentifier": text(),
    "bucketOwnerAccess": text(one_of=("FULL", "NONE", "READ_ONLY")),
    "encryptionDisabled": boolean(),
    "location": text(),
    "name": text(computed=True),
    "namespaceType": text(computed=True, one_of=("BUILD_ID", "NONE")),
    "overrideArtifactName": boolean(),
    "packaging": text(computed=True, one_of=("NONE", "ZIP")),
    "path": text(),
}
# Property and API name where they differ, for both directions.
_PLAIN = {
    "description": "description",
    "serviceRole": "serviceRole",
    "encryptionKey": "encryptionKey",
    "sourceVersion": "sourceVersion",
    "buildTimeout": "timeoutInMinutes",
    "queuedTimeout": "queuedTimeoutInMinutes",
    "concurrentBuildLimit": "concurrentBuildLimit",
    "autoRetryLimit": "autoRetryLimit",
}


class Project(Handler):
    """A build project."""

    token = "aws:codebuild/project:Project"
    noun = "CodeBuild Project"
    inputs = {
        "name": text(replaces=True, rule=length(2, 150)),
        "description": text(computed=True, rule=length(0, 255)),
        "serviceRole": text(required=True),
        "artifacts": block(_ARTIFACTS, required=True),
        "source": block(_SOURCE, required=True),
        "sourceVersion": text(),
        "secondarySources": set_of(block({**_SOURCE, "sourceIdentifier": text(required=True)})),
        "secondarySourceVersions": set_of(
            block({"sourceIdentifier": text(required=True), "sourceVersion": text(required=True)})
        ),
        "secondaryArtifacts": set_of(
            block({**_ARTIFACTS, "artifactIdentifier": text(required=True)})
        ),
        "environment": block(
            {
                "computeType": text(required=True),
                "image": text(required=True),
                "type": text(required=True, one_of=_ENVIRONMENTS),
                "certificate": text(),
                "imagePullCredentialsType": text(
                    default="CODEBUILD", one_of=("CODEBUILD", "SERVICE_ROLE")
                ),
                "privilegedMode": boolean(default=False),
                "environmentVariables": list_of(
                    block(
                        {
                            "name": text(required=True),
                            "value": text(required=True),
                            "type": text(
                                default="PLAINTEXT",
                                one_of=("PARAMETER_STORE", "PLAINTEXT", "SECRETS_MANAGER"),
                            ),
                        }
                    )
                ),
                "registryCredential": block(
                    {"credential": text(required=True), "credentialProvider": text(required=True)}
                ),
                "dockerServer": block(
                    {"computeType": text(required=True), "securityGroupIds": list_of(text())}
                ),
                "fleet": block({"fleetArn": text()}),
            },
            required=True,
        ),
        "cache": block(
            {
                "type": text(default="NO_CACHE", one_of=("LOCAL", "NO_CACHE", "S3")),
                "location": text(),
                "modes": list_of(text()),
            }
        ),
        "logsConfig": block(
            {
                "cloudwatchLogs": block(
                    {"groupName": text(), "streamName": text(), "status": text(default="ENABLED")}
                ),
                "s3Logs": block(
                    {
                        "status": text(default="DISABLED"),
                        "location": text(),
                        "encryptionDisabled": boolean(default=False),
                        "bucketOwnerAccess": text(),
                    }
                ),
            }
        ),
        "vpcConfig": block(
            {
                "vpcId": text(required=True),
                "subnets": set_of(text(), required=True),
                "securityGroupIds": set_of(text(), required=True),
            }
        ),
        "buildTimeout": integer(default=60, rule=between(5, 2160)),
        "queuedTimeout": integer(default=480, rule=between(5, 480)),
        "concurrentBuildLimit": integer(),
        "autoRetryLimit": integer(),
        "encryptionKey": text(computed=True),
        "badgeEnabled": boolean(default=False),
        "projectVisibility": text(default="PRIVATE", write_only=True, one_of=("PRIVATE",)),
    }
    outputs = ("arn", "badgeUrl")
    autoname = AutoName("name", 150)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Require CODEPIPELINE for both source and artifacts, or for neither."""
        sides = [
            side.get("type") if isinstance(side := inputs.get(name), Mapping) else None
            for name in ("source", "artifacts")
        ]
        if "CODEPIPELINE" in sides and None not in sides and sides[0] != sides[1]:
            yield "artifacts.type", "source and artifacts must both be CODEPIPELINE, or neither"
        cache = inputs.get("cache")
        if isinstance(cache, Mapping) and cache.get("type") == "S3" and not cache.get("location"):
            yield "cache.location", 'cache location is required when cache type is "S3"'

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the project; retry while IAM propagates a new role."""
        client, request = call.client("codebuild"), _request(inputs)
        project = call.retrying(
            lambda: client.create_project(**request), ("InvalidInputException",), seconds=1
        )
        return call.record_created(project["project"]["arn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the project."""
        name = id.rsplit(":project/", 1)[-1]
        projects = call.client("codebuild").batch_get_projects(names=[name])["projects"]
        if not projects:
            return None
        project = projects[0]
        environment = dict(project["environment"])
        logs, cache = project.get("logsConfig") or {}, project.get("cache") or {}
        return {
            "id": project["arn"],
            "arn": project["arn"],
            "name": project["name"],
            **{key: project.get(api) for key, api in _PLAIN.items()},
            "artifacts": project["artifacts"],
            "source": project["source"],
            "secondarySources": project.get("secondarySources") or [],
            "secondarySourceVersions": project.get("secondarySourceVersions") or [],
            "secondaryArtifacts": project.get("secondaryArtifacts") or [],
            "environment": environment,
            "cache": cache
            if cache.get("type", "NO_CACHE") != "NO_CACHE" or state.get("cache")
            else None,
            "logsConfig": filled(
                cloudwatchLogs=logs.get("cloudWatchLogs"), s3Logs=logs.get("s3Logs")
            )
            or None,
            "vpcConfig": (project.get("vpcConfig") or None)
            if (project.get("vpcConfig") or {}).get("vpcId")
            else None,
            "badgeEnabled": bool((project.get("badge") or {}).get("badgeEnabled")),
            "badgeUrl": (project.get("badge") or {}).get("badgeRequestUrl", ""),
            "tagsAll": tag_map(project.get("tags"), "key", "value"),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update the project; send removed settings as empty, because absent ones stay."""
        request = _request(new)
        emptied = {
            "vpcConfig": {},
            "cache": {"type": "NO_CACHE"},
            "sourceVersion": "",
            "secondarySources": [],
            "secondarySourceVersions": [],
            "secondaryArtifacts": [],
            "concurrentBuildLimit": -1,
        }
        for key, empty in emptied.items():
            if key in changed:
                request.setdefault(key, empty)
        call.client("codebuild").update_project(**request)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Replace all tags: CodeBuild has no call for single tags."""
        tags = {k: v for k, v in {**(state.get("tagsAll") or {}), **put}.items() if k not in drop}
        call.client("codebuild").update_project(
            name=state["name"], tags=tag_list(tags, "key", "value")
        )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the project."""
        call.client("codebuild").delete_project(name=state["name"])


def _request(inputs: Properties) -> dict[str, Any]:
    logs = inputs.get("logsConfig") or {}
    structures = ("artifacts", "source", "cache", "vpcConfig", "environment")
    lists = ("secondarySources", "secondarySourceVersions", "secondaryArtifacts")
    return {
        **without_none(**{api: inputs.get(key) for key, api in _PLAIN.items()}),
        **filled(
            name=inputs["name"],
            **{key: inputs.get(key) for key in (*structures, *lists)},
            logsConfig=filled(cloudWatchLogs=logs.get("cloudwatchLogs"), s3Logs=logs.get("s3Logs")),
            tags=tag_list(inputs.get("tagsAll") or {}, "key", "value"),
        ),
        "badgeEnabled": bool(inputs.get("badgeEnabled")),
    }


class ReportGroup(Handler):
    """A group of test reports."""

    token = "aws:codebuild/reportGroup:ReportGroup"
    noun = "CodeBuild Report Group"
    inputs = {
        "name": text(replaces=True, rule=length(2, 128)),
        "type": text(required=True, replaces=True, one_of=("TEST",)),
        "exportConfig": block({"type": text(required=True, one_of=("NO_EXPORT",))}, required=True),
        "deleteReports": boolean(default=False, write_only=True),
    }
    outputs = ("arn", "created")
    autoname = AutoName("name", 128)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the group."""
        group = call.client("codebuild").create_report_group(
            name=inputs["name"],
            type=inputs["type"],
            exportConfig={"exportConfigType": inputs["exportConfig"]["type"]},
            **filled(tags=tag_list(inputs["tagsAll"], "key", "value")),
        )["reportGroup"]
        return call.record_created(group["arn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the group."""
        groups = call.client("codebuild").batch_get_report_groups(reportGroupArns=[id])
        if not groups["reportGroups"]:
            return None
        group = groups["reportGroups"][0]
        return {
            "id": group["arn"],
            "arn": group["arn"],
            "name": group["name"],
            "type": group["type"],
            "exportConfig": {"type": group["exportConfig"]["exportConfigType"]},
            "created": group["created"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tagsAll": tag_map(group.get("tags"), "key", "value"),
        }

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Replace all tags: CodeBuild has no call for single tags."""
        tags = {k: v for k, v in {**(state.get("tagsAll") or {}), **put}.items() if k not in drop}
        call.client("codebuild").update_report_group(arn=id, tags=tag_list(tags, "key", "value"))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group, with its reports if `deleteReports` is set."""
        call.client("codebuild").delete_report_group(
            arn=id, deleteReports=bool(state.get("deleteReports"))
        )


TYPES = (Project(), ReportGroup())
