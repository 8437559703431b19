"""The stages of a release as plain values: test, build or promote, approve, deploy and verify."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


def source_stage(action: Mapping[str, Any], role_arn: pulumi.Input[str]) -> dict[str, Any]:
    """Fetch the commit, in a role of its own."""
    return {
        "name": "Source",
        "actions": [
            {
                "name": "Source",
                "namespace": "source",
                "category": "Source",
                "version": "1",
                "output_artifacts": ["source"],
                "role_arn": role_arn,
                **action,
            }
        ],
    }


def build_action(
    name: str,
    project: pulumi.Input[str],
    *,
    run_order: int = 1,
    namespace: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a CodeBuild project on the source. `environment` may name pipeline variables, `#{namespace.NAME}`."""
    configuration: dict[str, Any] = {"ProjectName": project}
    if environment:
        configuration["EnvironmentVariables"] = json.dumps(
            [{"name": key, "value": value, "type": "PLAINTEXT"} for key, value in environment.items()]
        )
    return {
        "name": name,
        "category": "Test" if name in {"Test", "Verify"} else "Build",
        "owner": "AWS",
        "provider": "CodeBuild",
        "version": "1",
        "input_artifacts": ["source"],
        "run_order": run_order,
        "configuration": configuration,
        **({"namespace": namespace} if namespace else {}),
    }


def approval_stage(
    topic_arn: pulumi.Input[str], what: str, link: pulumi.Input[str] | None, minutes: int
) -> dict[str, Any]:
    """Ask a person, who is told commit and digest, and where the service answers today."""
    configuration = {"NotificationArn": topic_arn, "CustomData": what}
    return {
        "name": "Approve",
        "actions": [
            {
                "name": "Approve",
                "category": "Approval",
                "owner": "AWS",
                "provider": "Manual",
                "version": "1",
                "timeout_in_minutes": minutes,
                "configuration": configuration if link is None else {**configuration, "ExternalEntityLink": link},
            }
        ],
    }


def deploy_stage(
    actions: Sequence[Mapping[str, Any]], *, rollback: bool, alarm_names: Sequence[pulumi.Input[str]], bake_minutes: int
) -> dict[str, Any]:
    """Deploy and verify in one stage, so that a roll-back of the stage deploys the digest before.

    With alarms, the stage is rolled back if one rings within `bake_minutes` after.
    """
    stage: dict[str, Any] = {"name": "Deploy", "actions": list(actions)}
    if rollback:
        stage["on_failure"] = {"result": "ROLLBACK"}
    if alarm_names and bake_minutes:
        wait = {"WaitTime": str(bake_minutes)}
        stage["on_success"] = {"condition": {"result": "ROLLBACK", "rules": _alarm_rules("Bake", alarm_names, wait)}}
    return stage


def held_back(stage: Mapping[str, Any], alarm_names: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
    """`stage`, which nothing leaves while an alarm rings.

    For the stage before the deploying one, whose own entry must stay open: a roll-back enters it again, and it is an alarm
    that rings which asks for one.
    """
    return {**stage, "on_success": {"condition": {"result": "FAIL", "rules": _alarm_rules("Quiet", alarm_names, {})}}}


def _alarm_rules(
    name: str, alarm_names: Sequence[pulumi.Input[str]], configuration: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One rule for each alarm; any that rings decides. CodePipeline takes five at most."""
    return [
        {
            "name": f"{name}-{number}",
            "configuration": {"AlarmName": alarm_name, **configuration},
            "rule_type_id": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
        }
        for number, alarm_name in enumerate(alarm_names, 1)
    ]
