"""Stages of a release: source, test, build and sign or promote, approve, deploy.

With `pipeline.infrastructure`, the stack is previewed and updated before the release is approved.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

# Rules of one condition (https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html).
MAX_ALARMS = 5
APPROVAL_MINUTES = 7 * 24 * 60
RELEASE = {"COMMIT": "#{image.COMMIT}", "IMAGE_DIGEST": "#{image.IMAGE_DIGEST}"}
AUTHOR = "#{source.AuthorDisplayName}"
RUNNING = "#{image.RUNNING}"
COMPARE_URL = "#{image.COMPARE_URL}"
RETRY_ONCE: dict[str, Any] = {
    "on_failure": {"result": "RETRY", "retry_configuration": {"retry_mode": "FAILED_ACTIONS"}}
}
EXECUTION_ID = "#{codepipeline.PipelineExecutionId}"
CHANGES = "changes"
"""Artifact with the previewed changes."""


def release_stages(
    *,
    source_action: Mapping[str, Any],
    source_role_arn: pulumi.Input[str],
    commit: str,
    has_author: bool,
    projects: Mapping[str, pulumi.Input[str]],
    eks_action: Mapping[str, Any] | None,
    promotes: bool,
    approval_topic_arn: pulumi.Input[str] | None,
    url: pulumi.Input[str] | None,
    rollback: bool,
    alarm_names: Sequence[pulumi.Input[str]],
    bake_minutes: int,
    infrastructure: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """List the stages; `projects` maps test, build, sign, deploy and verify to project names.

    Without a project `sign`, images are not signed here. Without `approval_topic_arn` there is no
    approval stage. With `eks_action`, that action deploys the manifest of the project `admit`.
    `infrastructure` has the stages that preview and update the stack, which may be empty.
    """
    image, environment = "Build", {"COMMIT": commit}
    if promotes:
        image = "Promote"
        environment["EXECUTION_ID"] = EXECUTION_ID
    stages = [
        source_stage(source_action, source_role_arn),
        {"name": "Test", "actions": [build_action("Test", projects["test"])]},
        {
            "name": image,
            "actions": [
                build_action(image, projects["build"], namespace="image", environment=environment)
            ],
            # A build pulls from registries that may be unreachable for a moment. A promotion that
            # was refused would be refused again.
            **({} if promotes else RETRY_ONCE),
        },
    ]
    if "sign" in projects:
        sign = build_action("Sign", projects["sign"], environment=RELEASE)
        stages.append({"name": "Sign", "actions": [sign]})
    # Last of those before the deploy stage that no condition skips.
    gate = len(stages) - 1
    stages += infrastructure
    if approval_topic_arn is not None:
        stages.append(approval_stage(approval_topic_arn, url, has_author=has_author))
        gate = len(stages) - 1
    if alarm_names and bake_minutes:
        stages[gate] = gate_on_alarms(stages[gate], alarm_names)
    release = {**RELEASE, "EXECUTION_ID": EXECUTION_ID}
    if eks_action is None:
        deploy = [build_action("Deploy", projects["deploy"], environment=release)]
    else:
        admit = build_action("Admit", projects["admit"], environment=release)
        deploy = [
            {**admit, "output_artifacts": eks_action["input_artifacts"]},
            {**eks_action, "run_order": 2},
        ]
    deploy.append(
        build_action("Verify", projects["verify"], run_order=len(deploy) + 1, environment=RELEASE)
    )
    stages.append(
        deploy_stage(deploy, rollback=rollback, alarm_names=alarm_names, bake_minutes=bake_minutes)
    )
    return stages


def source_stage(action: Mapping[str, Any], role_arn: pulumi.Input[str]) -> dict[str, Any]:
    """Fetch the commit under a role of its own."""
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
    """Run a CodeBuild project on the source.

    Values of `environment` may contain pipeline variables, `#{namespace.NAME}`.
    """
    configuration: dict[str, Any] = {"ProjectName": project}
    if environment:
        configuration["EnvironmentVariables"] = json.dumps(
            [
                {"name": key, "value": value, "type": "PLAINTEXT"}
                for key, value in environment.items()
            ]
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


def infrastructure_stages(
    *,
    preview_project: pulumi.Input[str],
    update_project: pulumi.Input[str],
    stack: str,
    revision: str,
    approval_topic_arn: pulumi.Input[str],
    has_author: bool,
) -> list[dict[str, Any]]:
    """Preview the stack, then approve and update it unless nothing changes.

    Approval and update are one stage: no other execution enters it between them.
    """
    preview = build_action("Preview", preview_project, namespace="changes")
    author = f" by {AUTHOR}" if has_author else ""
    approval = approval_action(
        "ApproveChanges",
        approval_topic_arn,
        f"Update {stack} to commit {RELEASE['COMMIT']}{author}? #{{changes.SUMMARY}}",
        "#{changes.LOG_URL}",
    )
    update = build_action(
        "Update",
        update_project,
        run_order=2,
        environment={"REVISION": revision, "EXECUTION_ID": EXECUTION_ID},
    )
    update["configuration"]["PrimarySource"] = "source"
    check = {
        "name": "Changed",
        "configuration": {"Variable": "#{changes.CHANGED}", "Operator": "EQ", "Value": "true"},
        "rule_type_id": {
            "category": "Rule",
            "owner": "AWS",
            "provider": "VariableCheck",
            "version": "1",
        },
    }
    return [
        {"name": "Preview", "actions": [{**preview, "output_artifacts": [CHANGES]}]},
        {
            "name": "Update",
            "before_entry": {"condition": {"result": "SKIP", "rules": [check]}},
            "actions": [approval, {**update, "input_artifacts": ["source", CHANGES]}],
        },
    ]


def approval_stage(
    topic_arn: pulumi.Input[str], url: pulumi.Input[str] | None, *, has_author: bool
) -> dict[str, Any]:
    """Request approval: commit, author, digest and what runs, with a link to the difference.

    A source in S3 has no author and no difference; the link is the service's.
    """
    author = f" by {AUTHOR}" if has_author else ""
    text: pulumi.Input[str] = (
        f"Release commit {RELEASE['COMMIT']}{author} as image {RELEASE['IMAGE_DIGEST']}? "
        f"Running: {RUNNING}"
    )
    if url is not None:
        text = pulumi.Output.concat(text, ", at ", url)
    action = approval_action("Approve", topic_arn, text, COMPARE_URL if has_author else url)
    return {"name": "Approve", "actions": [action]}


def approval_action(
    name: str,
    topic_arn: pulumi.Input[str],
    text: pulumi.Input[str],
    link: pulumi.Input[str] | None,
) -> dict[str, Any]:
    """Ask a person, for a week at most."""
    configuration: dict[str, Any] = {"NotificationArn": topic_arn, "CustomData": text}
    if link is not None:
        configuration["ExternalEntityLink"] = link
    return {
        "name": name,
        "category": "Approval",
        "owner": "AWS",
        "provider": "Manual",
        "version": "1",
        "timeout_in_minutes": APPROVAL_MINUTES,
        "configuration": configuration,
    }


def deploy_stage(
    actions: Sequence[Mapping[str, Any]],
    *,
    rollback: bool,
    alarm_names: Sequence[pulumi.Input[str]],
    bake_minutes: int,
) -> dict[str, Any]:
    """Deploy and verify in one stage, so that its rollback deploys the previous digest.

    The stage is rolled back if an alarm fires within `bake_minutes` after it.
    """
    stage: dict[str, Any] = {"name": "Deploy", "actions": list(actions)}
    if rollback:
        stage["on_failure"] = {"result": "ROLLBACK"}
    if alarm_names and bake_minutes:
        rules = _alarm_rules("Bake", alarm_names, {"WaitTime": str(bake_minutes)})
        stage["on_success"] = {"condition": {"result": "ROLLBACK", "rules": rules}}
    return stage


def gate_on_alarms(
    stage: Mapping[str, Any], alarm_names: Sequence[pulumi.Input[str]]
) -> dict[str, Any]:
    """Add an exit condition to `stage` that fails while an alarm is in state ALARM.

    The gate is the exit of the stage before the deploy stage, whose entry must remain open: a
    rollback enters it again, and an alarm is what requests the rollback.
    """
    rules = _alarm_rules("Quiet", alarm_names, {})
    return {**stage, "on_success": {"condition": {"result": "FAIL", "rules": rules}}}


def _alarm_rules(
    name: str, alarm_names: Sequence[pulumi.Input[str]], configuration: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One rule per alarm; a single alarm decides the condition."""
    rule_type = {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"}
    return [
        {
            "name": f"{name}-{number}",
            "configuration": {"AlarmName": alarm_name, **configuration},
            "rule_type_id": rule_type,
        }
        for number, alarm_name in enumerate(alarm_names, 1)
    ]
