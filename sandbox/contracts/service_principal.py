"""How AWS services that run outside the account's process assume roles in it.

A service signs AssumeRole with its principal as access key, such as "codebuild.amazonaws.com", and
names the resource for which it acts, which the condition key aws:SourceArn contains.
"""

from __future__ import annotations

from typing import Any

SOURCE_ARN_HEADER = "X-Amz-Source-Arn"
SUFFIX = ".amazonaws.com"


def name_source(sts: Any, source_arn: str) -> None:
    """Let an STS client name the resource for which its service assumes roles."""

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"][SOURCE_ARN_HEADER] = source_arn

    sts.meta.events.register("before-call.sts.AssumeRole", add)
