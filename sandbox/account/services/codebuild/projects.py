"""CodeBuild projects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, Item, implements, lists
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("codebuild")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}")
_LOCATED = {
    "CODECOMMIT",
    "GITHUB",
    "GITHUB_ENTERPRISE",
    "GITLAB",
    "GITLAB_SELF_MANAGED",
    "BITBUCKET",
    "S3",
}
# What UpdateProject keeps if it is absent, besides what CreateProject sets by default.
_PLAIN = (
    "description",
    "source",
    "secondarySources",
    "sourceVersion",
    "secondarySourceVersions",
    "artifacts",
    "secondaryArtifacts",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "encryptionKey",
    "tags",
    "vpcConfig",
    "logsConfig",
    "fileSystemLocations",
    "buildBatchConfig",
    "concurrentBuildLimit",
    "autoRetryLimit",
)


def invalid(text: str) -> AwsError:
    """Return the error of an invalid parameter."""
    return AwsError("InvalidInputException", text)


def check_role(context: RequestContext, arn: str) -> None:
    """Refuse a service role that does not exist or does not trust CodeBuild."""
    role = moto_backends.role(context, arn)
    if role is None or not moto_backends.trusts(role, "codebuild.amazonaws.com"):
        raise invalid(
            "CodeBuild is not authorized to perform: sts:AssumeRole on service role. Please "
            "verify that: 1) The provided service role exists, 2) The role name is "
            "case-sensitive and matches exactly, and 3) The role has the necessary trust "
            f"policy configured: {arn}"
        )


def check_project(context: RequestContext, call: Call, project: Record) -> None:
    """Refuse invalid projects. Source: CodeBuild API reference, CreateProject."""
    source, artifacts = project["source"], project["artifacts"]
    if (source["type"] == "CODEPIPELINE") != (artifacts["type"] == "CODEPIPELINE"):
        raise invalid(
            "Invalid artifacts: source and artifacts must both have the type CODEPIPELINE, or "
            "neither"
        )
    if source["type"] in _LOCATED and not source.get("location"):
        raise invalid(
            "Invalid project source: location must be set for the source type " + source["type"]
        )
    if source["type"] == "NO_SOURCE" and not source.get("buildspec"):
        raise invalid(
            "Invalid project source: buildspec must be set when the source type is NO_SOURCE"
        )
    if artifacts["type"] == "S3" and not artifacts.get("location"):
        raise invalid("Invalid artifacts: artifact location must be set for the type S3")
    environment = project["environment"]
    arm_image = "aarch64" in environment["image"] and environment["image"].startswith(
        "aws/codebuild/"
    )
    if arm_image and not environment["type"].startswith("ARM_"):
        raise invalid(
            f"The image {environment['image']} is for ARM_CONTAINER, not {environment['type']}"
        )
    names = [variable["name"] for variable in environment.get("environmentVariables") or []]
    if len(names) != len(set(names)):
        raise invalid("Invalid environment variables: duplicate name")
    check_role(context, project["serviceRole"])
    vpc = project.get("vpcConfig") or {}
    if vpc:
        if not (vpc.get("vpcId") and vpc.get("subnets") and vpc.get("securityGroupIds")):
            raise invalid(
                "Invalid vpc config: VPC ID, subnets and security group IDs must be set together"
            )
        for subnet_id in vpc["subnets"]:
            subnet = moto_backends.subnet(context, call.region, subnet_id)
            if subnet is None or subnet.vpc_id != vpc["vpcId"]:
                raise invalid(
                    f"Invalid vpc config: the subnet {subnet_id} is not in {vpc['vpcId']}"
                )
        for group_id in vpc["securityGroupIds"]:
            group = moto_backends.security_group(context, call.region, group_id)
            if group is None or group.vpc_id != vpc["vpcId"]:
                raise invalid(
                    f"Invalid vpc config: the security group {group_id} is not in {vpc['vpcId']}"
                )


def find_project(context: RequestContext, call: Call, name: str) -> Record:
    """Return a project; raise AwsError if it does not exist."""
    project = context.table("codebuild").get((call.region, name))
    if project is None:
        arn = f"arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:project/{name}"
        raise AwsError("ResourceNotFoundException", f"Project cannot be found: {arn}")
    return project


def _fields(call: Call) -> dict[str, Any]:
    fields = {name: call[name] for name in _PLAIN if call.get(name) is not None}
    if "badgeEnabled" in call.params:
        fields["badge"] = {"badgeEnabled": call["badgeEnabled"]}
    return fields


@implements("codebuild", "CreateProject")
def create_project(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create a project with CodeBuild's defaults."""
    name, key = call["name"], (call.region, call["name"])
    arn = f"arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:project/{name}"
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Invalid project name: {name} (2 to 150 letters, digits, hyphens and underscores)"
        )
    if key in context.table("codebuild"):
        raise AwsError("ResourceAlreadyExistsException", f"Project already exists: {arn}")
    project: Record = {
        "name": name,
        "arn": arn,
        "timeoutInMinutes": 60,
        "queuedTimeoutInMinutes": 480,
        "encryptionKey": f"arn:aws:kms:{call.region}:{ACCOUNT_ID}:alias/aws/s3",
        "cache": {"type": "NO_CACHE"},
        "badge": {"badgeEnabled": False},
        "projectVisibility": "PRIVATE",
        "tags": [],
        "created": context.clock.now(),
        "lastModified": context.clock.now(),
        **_fields(call),
    }
    environment = project["environment"] = {
        "privilegedMode": False,
        "environmentVariables": [],
        **project["environment"],
    }
    for variable in environment["environmentVariables"]:
        variable.setdefault("type", "PLAINTEXT")
    check_project(context, call, project)
    context.table("codebuild")[key] = project
    return {"project": project}


@implements("codebuild", "UpdateProject")
def update_project(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update a project; an empty vpcConfig removes it from its VPC."""
    project = find_project(context, call, call["name"])
    changed: Record = {**project, **_fields(call), "lastModified": context.clock.now()}
    if call.get("vpcConfig") is not None and not any(call["vpcConfig"].values()):
        del changed["vpcConfig"]
    changed["environment"] = {
        "privilegedMode": False,
        "environmentVariables": [],
        **changed["environment"],
    }
    for variable in changed["environment"]["environmentVariables"]:
        variable.setdefault("type", "PLAINTEXT")
    check_project(context, call, changed)
    project.clear()
    project.update(changed)
    return {"project": project}


@implements("codebuild", "DeleteProject")
def delete_project(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a project; a missing one is no error."""
    context.table("codebuild").pop((call.region, call["name"]), None)
    return {}


@implements("codebuild", "BatchGetProjects")
def batch_get_projects(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return projects by name or ARN."""
    table = context.table("codebuild")
    projects = {
        name: table.get((call.region, name.rpartition("project/")[2])) for name in call["names"]
    }
    return {
        "projects": [p for p in projects.values() if p],
        "projectsNotFound": [n for n, p in projects.items() if not p],
    }


@implements("codebuild", "ListProjects")
def list_projects(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the names of the region's projects."""
    return {
        "projects": sorted(
            name for region, name in context.table("codebuild") if region == call.region
        )
    }


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every project."""
    for key, record in context.table("codebuild").items():
        tags = {tag["key"]: tag["value"] for tag in record["tags"]}
        yield Item(
            "codebuild", "project", record["name"], record["arn"], record["name"], key[0], tags
        )
