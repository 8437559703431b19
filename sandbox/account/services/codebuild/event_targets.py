"""EventBridge rules whose target is a CodeBuild project start a build.

The input of the target has parameters of StartBuild.
Source: EventBridge User Guide, "Targets available in the EventBridge console".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.account.core import authorization
from sandbox.account.core.errors import AwsError
from sandbox.account.services import events
from sandbox.account.services.codebuild import builds

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext


def _start(context: RequestContext, rule: Any, target: Mapping[str, Any], content: Any) -> None:
    """Start a build if the target's role may; EventBridge reports no failure."""
    arn, role = str(target["Arn"]), str(target.get("RoleArn"))
    project = context.table("codebuild").get((rule.region_name, arn.rpartition("project/")[2]))
    action = "codebuild:StartBuild"
    if project is None or not authorization.role_allows(
        context,
        "events.amazonaws.com",
        role,
        rule.region_name,
        action,
        arn,
        source_arn=str(rule.arn),
    ):
        return
    project = copy.deepcopy(project)
    parameters = content if isinstance(content, dict) else {}
    builds.override(project, parameters)
    version = parameters.get("sourceVersion") or project.get("sourceVersion") or ""
    with suppress(AwsError):
        builds.start(context, rule.region_name, project, version, f"rule/{rule.name}")


events.TARGETS["codebuild"] = _start
