"""Webhooks of CodeBuild projects, and the builds that pushes start.

Sources: CodeBuild API reference, CreateWebhook; CodeBuild User Guide, "GitHub webhook events".
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.account.core import authorization, determinism
from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.operations import admin, implements
from sandbox.account.services import codeconnections
from sandbox.account.services.codebuild import builds, source_credentials
from sandbox.account.services.codebuild.projects import find_project, invalid
from sandbox.contracts.source_event import SourceEvent

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_PROVIDERS = ("GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "BITBUCKET")
_EVENTS = frozenset(
    {
        "PUSH",
        "PULL_REQUEST_CREATED",
        "PULL_REQUEST_UPDATED",
        "PULL_REQUEST_REOPENED",
        "PULL_REQUEST_MERGED",
        "PULL_REQUEST_CLOSED",
        "RELEASED",
        "PRERELEASED",
        "WORKFLOW_JOB_QUEUED",
    }
)
_EMULATED_FILTERS = ("EVENT", "BASE_REF", "HEAD_REF")
_APPROVERS = ["GITHUB_ADMIN", "GITHUB_MAINTAIN", "GITHUB_WRITE"]
_SETTABLE = ("branchFilter", "filterGroups", "buildType", "manualCreation", "scopeConfiguration")


@implements("codebuild", "CreateWebhook")
def create_webhook(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create the webhook of a project whose credential may register it."""
    project = find_project(context, call, call["projectName"])
    if "webhook" in project:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Webhook already exists for the project {project['name']}",
        )
    if call.get("scopeConfiguration") or call.get("manualCreation"):
        raise not_emulated("codebuild", "CreateWebhook", "scopeConfiguration, manualCreation")
    _check_filters(call)
    _check_credential(context, call.region, project)
    webhook: Record = {
        "buildType": "BUILD",
        "url": f"{_api_url(project)}/hooks/{int(determinism.random_uuid()[:7], 16)}",
        "payloadUrl": f"https://codebuild.{call.region}.amazonaws.com/webhooks",
        "status": "ACTIVE",
        "lastModifiedSecret": context.clock.now(),
    }
    project["webhook"] = webhook | _fields(call)
    return {"webhook": project["webhook"]}


@implements("codebuild", "UpdateWebhook")
def update_webhook(context: RequestContext, call: Call) -> dict[str, Any]:
    """Replace the filters of a webhook."""
    project = find_project(context, call, call["projectName"])
    webhook = _find(project)
    _check_filters(call)
    _check_credential(context, call.region, project)
    for name in ("branchFilter", "filterGroups"):  # one replaces the other
        webhook.pop(name, None)
    webhook |= _fields(call)
    if call.get("rotateSecret"):
        webhook["lastModifiedSecret"] = context.clock.now()
    return {"webhook": webhook}


@implements("codebuild", "DeleteWebhook")
def delete_webhook(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete the webhook of a project."""
    project = find_project(context, call, call["projectName"])
    _find(project)
    del project["webhook"]
    return {}


def _find(project: Record) -> Record:
    if "webhook" not in project:
        raise AwsError(
            "ResourceNotFoundException", f"No webhook found for the project {project['name']}"
        )
    webhook: Record = project["webhook"]
    return webhook


def _fields(call: Call) -> dict[str, Any]:
    fields = {name: call[name] for name in _SETTABLE if call.get(name) is not None}
    if policy := call.get("pullRequestBuildPolicy"):
        fields["pullRequestBuildPolicy"] = {"approverRoles": _APPROVERS, **policy}
    return fields


def _check_filters(call: Call) -> None:
    """Refuse groups without an event, unknown events and invalid patterns."""
    if call.get("buildType") not in {None, "BUILD"}:
        raise not_emulated("codebuild", call.operation, f"buildType {call['buildType']}")
    for group in call.get("filterGroups") or ():
        events = [item["pattern"] for item in group if item["type"] == "EVENT"]
        if len(events) != 1:
            raise invalid("Each webhook filter group must contain exactly one filter of type EVENT")
        unknown = {name.strip() for name in events[0].split(",")} - _EVENTS
        if unknown:
            raise invalid(f"Invalid webhook filter: unknown event {min(unknown)}")
        for item in group:
            if item["type"] not in _EMULATED_FILTERS:
                raise not_emulated("codebuild", call.operation, f"filter {item['type']}")
            try:
                re.compile(item["pattern"])
            except re.error as error:
                raise invalid(
                    f"Invalid webhook filter pattern: {item['pattern']}: {error}"
                ) from None


def _check_credential(context: RequestContext, region: str, project: Record) -> None:
    """Refuse a source without a credential, or with a connection that cannot be used.

    The texts of a missing token and of a denied role are from issues of AWS's users; the text about
    a pending connection is the sandbox's own.
    """
    server = project["source"]["type"]
    if server not in _PROVIDERS:
        raise invalid(f"Webhooks are not supported for the source type {server}")
    arn = connection_of(context, region, project)
    if arn is None:
        if source_credentials.find(context, region, server) is None:
            raise AwsError(
                "ResourceNotFoundException",
                f"Could not find access token for server type {server.lower()}",
            )
        return
    connection = codeconnections.find(context, arn)
    if connection is None or not authorization.role_allows(
        context,
        "codebuild.amazonaws.com",
        project["serviceRole"],
        region,
        token_action(arn),
        arn,
        source_arn=project["arn"],
    ):
        raise invalid(f"Access denied to connection {arn}")
    if connection["ConnectionStatus"] != "AVAILABLE":
        raise invalid(
            f"Connection {arn} is not available: its status is {connection['ConnectionStatus']}"
        )


def connection_of(context: RequestContext, region: str, project: Record) -> str | None:
    """Return the connection of a project's source: its own, or that of the region."""
    source = project["source"]
    auth = source.get("auth") or {}
    if auth.get("type") == "CODECONNECTIONS":
        return str(auth["resource"])
    default = source_credentials.find(context, region, source["type"]) or {}
    return str(default["resource"]) if default.get("authType") == "CODECONNECTIONS" else None


def token_action(connection_arn: str) -> str:
    """Return the permission that reads a repository through a connection.

    Source: CodeBuild User Guide, "GitHub App connections".
    """
    return f"{connection_arn.split(':')[2]}:GetConnectionToken"


def _api_url(project: Record) -> str:
    location = str(project["source"]["location"]).removesuffix(".git")
    return f"https://api.github.com/repos/{'/'.join(location.split('/')[-2:])}"


@admin("codebuild/source-event")
def report(context: RequestContext, content: dict[str, Any]) -> dict[str, Any]:
    """Start the builds whose webhooks select an event of a repository."""
    event = SourceEvent(**content)
    started = []
    for (region, _), project in list(context.table("codebuild").items()):
        location = str(project["source"].get("location") or "").removesuffix(".git")
        webhook = project.get("webhook")
        if webhook is None or not location.endswith(f"/{event.repository}"):
            continue
        if not _selects(webhook, event) or not _is_connected(context, region, project):
            continue
        try:
            build = builds.start(
                context,
                region,
                copy.deepcopy({key: project[key] for key in project if key != "webhook"}),
                event.source_version,
                "GitHub-Hookshot/sandbox",
                variables=_variables(event),
            )
        except AwsError:
            continue  # the project's limit of builds, which GitHub is told
        started.append(build["arn"])
    return {"builds": started}


def _is_connected(context: RequestContext, region: str, project: Record) -> bool:
    arn = connection_of(context, region, project)
    connection = codeconnections.find(context, arn) if arn else None
    return connection is not None and connection["ConnectionStatus"] == "AVAILABLE"


def _selects(webhook: Mapping[str, Any], event: SourceEvent) -> bool:
    """Whether one group's filters all pass.

    A pull request in the sandbox is of its user, who may push and needs no approving comment.
    """
    groups = webhook.get("filterGroups")
    if not groups:
        branch = event.head_ref.removeprefix("refs/heads/")
        pattern = webhook.get("branchFilter") or ""
        return event.kind != "PULL_REQUEST_CLOSED" and bool(re.search(pattern, branch))
    return any(all(_passes(item, event) for item in group) for group in groups)


def _passes(item: Mapping[str, Any], event: SourceEvent) -> bool:
    if item["type"] == "EVENT":
        return event.kind in {name.strip() for name in item["pattern"].split(",")}
    value = event.base_ref if item["type"] == "BASE_REF" else event.head_ref
    matches = re.search(item["pattern"], value) is not None
    return matches != bool(item.get("excludeMatchedPattern"))


def _variables(event: SourceEvent) -> dict[str, str]:
    """Source: CodeBuild User Guide, "Environment variables in build environments"."""
    variables = {
        "CODEBUILD_WEBHOOK_EVENT": event.kind,
        "CODEBUILD_WEBHOOK_HEAD_REF": event.head_ref,
        "CODEBUILD_WEBHOOK_TRIGGER": event.trigger,
    }
    return variables | ({"CODEBUILD_WEBHOOK_BASE_REF": event.base_ref} if event.base_ref else {})
