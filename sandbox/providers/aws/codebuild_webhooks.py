"""Webhooks of CodeBuild projects. The ID is the project's name; a new project replaces."""

from __future__ import annotations

from typing import Any

from sandbox.providers.aws.marshalling import filled
from sandbox.providers.aws.properties import block, boolean, list_of, set_of, text
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.protocol import Properties

_FILTERS = (
    "EVENT",
    "BASE_REF",
    "HEAD_REF",
    "ACTOR_ACCOUNT_ID",
    "FILE_PATH",
    "COMMIT_MESSAGE",
    "WORKFLOW_NAME",
    "TAG_NAME",
    "RELEASE_NAME",
    "REPOSITORY_NAME",
    "ORGANIZATION_NAME",
)
_APPROVALS = ("ALL_PULL_REQUESTS", "DISABLED", "FORK_PULL_REQUESTS")


class Webhook(Handler):
    """A webhook, which GitHub calls for the events of its filters."""

    token = "aws:codebuild/webhook:Webhook"
    noun = "CodeBuild Webhook"
    inputs = {
        "projectName": text(required=True, replaces=True),
        "branchFilter": text(),
        "buildType": text(one_of=("BUILD",)),
        "filterGroups": set_of(
            block(
                {
                    "filters": list_of(
                        block(
                            {
                                "type": text(required=True, one_of=_FILTERS),
                                "pattern": text(required=True),
                                "excludeMatchedPattern": boolean(default=False),
                            }
                        )
                    )
                }
            )
        ),
        "pullRequestBuildPolicy": block(
            {
                "requiresCommentApproval": text(required=True, one_of=_APPROVALS),
                "approverRoles": list_of(text(), computed=True),
            },
            computed=True,
        ),
    }
    outputs = ("payloadUrl", "url")
    secret_outputs = ("secret",)
    conflicts = (("branchFilter", "filterGroups"),)
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the webhook."""
        call.client("codebuild").create_webhook(**_request(inputs))
        return call.record_created(inputs["projectName"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the webhook of the project."""
        projects = call.client("codebuild").batch_get_projects(names=[id])["projects"]
        webhook = projects[0].get("webhook") if projects else None
        if webhook is None:
            return None
        return {
            "id": id,
            "projectName": id,
            "branchFilter": webhook.get("branchFilter"),
            "buildType": webhook.get("buildType"),
            "filterGroups": [
                {"filters": [{"excludeMatchedPattern": False, **item} for item in group]}
                for group in webhook.get("filterGroups") or ()
            ],
            "pullRequestBuildPolicy": webhook.get("pullRequestBuildPolicy"),
            "payloadUrl": webhook.get("payloadUrl", ""),
            "url": webhook.get("url", ""),
            "secret": "",  # CodeBuild keeps the secret of a GitHub webhook
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the filters."""
        call.client("codebuild").update_webhook(**_request(new))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the webhook."""
        call.client("codebuild").delete_webhook(projectName=id)


def _request(inputs: Properties) -> dict[str, Any]:
    groups = [group["filters"] for group in inputs.get("filterGroups") or ()]
    return filled(
        projectName=inputs["projectName"],
        branchFilter=inputs.get("branchFilter"),
        buildType=inputs.get("buildType"),
        filterGroups=groups,
        pullRequestBuildPolicy=inputs.get("pullRequestBuildPolicy"),
    )


TYPES = (Webhook(),)
