"""Validation of pipeline declarations: stages, actions, artifacts, features of V2.

Sources: reference-pipeline-structure.html, action-reference.html and pipeline-requirements.html
("valid action providers", "input and output artifacts") of
docs.aws.amazon.com/codepipeline/latest/userguide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.account.core.errors import AwsError

Action = dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """Numbers of artifacts, required configuration keys, whether V2 is required."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    keys: tuple[str, ...] = ()
    only_v2: bool = False
    optional: tuple[str, ...] | None = None
    """Further configuration keys; None does not check them."""


PROVIDERS: dict[tuple[str, str], Provider] = {
    ("Source", "S3"): Provider((0, 0), (1, 1), ("S3Bucket", "S3ObjectKey")),
    ("Source", "ECR"): Provider((0, 0), (1, 1), ("RepositoryName",)),
    ("Source", "CodeCommit"): Provider((0, 0), (1, 1), ("RepositoryName", "BranchName")),
    ("Source", "CodeStarSourceConnection"): Provider(
        (0, 0), (1, 1), ("ConnectionArn", "FullRepositoryId", "BranchName")
    ),
    ("Build", "CodeBuild"): Provider((1, 5), (0, 5), ("ProjectName",)),
    ("Build", "ECRBuildAndPublish"): Provider((1, 1), (0, 1), ("ECRRepositoryName",), only_v2=True),
    ("Test", "CodeBuild"): Provider((1, 5), (0, 5), ("ProjectName",)),
    ("Approval", "Manual"): Provider((0, 0), (0, 0)),
    ("Deploy", "S3"): Provider((1, 1), (0, 0), ("BucketName", "Extract")),
    ("Deploy", "EKS"): Provider(
        (1, 1),
        (0, 0),
        ("ClusterName",),
        only_v2=True,
        optional=(
            *("HelmChartLocation", "HelmReleaseName", "HelmValuesFiles"),
            *("ManifestFiles", "Namespace", "SecurityGroupIds", "Subnets"),
        ),
    ),
    ("Deploy", "ECS"): Provider((1, 1), (0, 0), ("ClusterName", "ServiceName")),
    ("Deploy", "CodeDeploy"): Provider((1, 1), (0, 0), ("ApplicationName", "DeploymentGroupName")),
    ("Deploy", "CloudFormation"): Provider((0, 10), (0, 1), ("ActionMode", "StackName")),
    ("Invoke", "Lambda"): Provider((0, 5), (0, 5), ("FunctionName",)),
    ("Invoke", "StepFunctions"): Provider((0, 1), (0, 1), ("StateMachineArn",)),
    ("Invoke", "CodePipeline"): Provider((0, 0), (0, 0), ("PipelineName",), only_v2=True),
    ("Compute", "Commands"): Provider((1, 10), (0, 1), (), only_v2=True),
}
RULES = {
    "CloudWatchAlarm": ("AlarmName",),
    "CodeBuild": ("ProjectName",),
    "Commands": (),
    "DeploymentWindow": ("Cron",),
    "LambdaInvoke": ("FunctionName",),
    "VariableCheck": ("Variable", "Value", "Operator"),
}
_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
_REFERENCE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")
_SYSTEM_NAMESPACES = {"codepipeline", "variables"}
_STAGE_CONDITIONS = ("beforeEntry", "onSuccess", "onFailure")


def _structure(text: str) -> AwsError:
    return AwsError("InvalidStructureException", text)


def _action_error(stage: str, action: str, text: str) -> AwsError:
    return AwsError(
        "InvalidActionDeclarationException", f"Action '{action}' in stage '{stage}': {text}"
    )


def check(pipeline: dict[str, Any]) -> None:
    """Raise AwsError for the first invalid part."""
    stages, v2 = pipeline["stages"], pipeline.get("pipelineType") == "V2"
    if bool(pipeline.get("artifactStore")) == bool(pipeline.get("artifactStores")):
        raise _structure("Pipeline must have either artifactStore or artifactStores, and not both")
    if len(stages) < 2:
        raise _structure(
            "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"
        )
    _check_unique([stage["name"] for stage in stages], "Stage name")
    if not v2:
        _check_v1(pipeline)
    for index, stage in enumerate(stages):
        _check_stage(stage, first=index == 0, v2=v2)
    _check_artifacts(stages)
    _check_variables(pipeline)
    _check_triggers(pipeline)


def _check_unique(names: list[str], what: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise _structure(f"{what} '{name}' may have 1 to 100 letters, digits, and .@-_")
        if names.count(name) > 1:
            raise _structure(
                f"{what} '{name}' is used {names.count(name)} times; it must be unique"
            )


def _check_v1(pipeline: dict[str, Any]) -> None:
    for name in ("variables", "triggers"):
        if pipeline.get(name):
            raise _structure(f"Pipelines of type V1 cannot have {name}; use pipelineType V2")
    if pipeline.get("executionMode", "SUPERSEDED") != "SUPERSEDED":
        raise _structure(
            f"Pipelines of type V1 cannot have the execution mode {pipeline['executionMode']}; "
            "use pipelineType V2"
        )
    for stage in pipeline["stages"]:
        conditions = [name for name in _STAGE_CONDITIONS if stage.get(name)]
        if conditions:
            raise _structure(
                f"Stage '{stage['name']}' has {conditions[0]}, which pipelines of type V1 can't "
                "have; use V2"
            )


def _check_stage(stage: dict[str, Any], *, first: bool, v2: bool) -> None:
    name, actions = stage["name"], stage["actions"]
    if not actions:
        raise AwsError("InvalidStageDeclarationException", f"Stage '{name}' has no actions")
    _check_unique([action["name"] for action in actions], f"In stage '{name}' the action name")
    for action in actions:
        category = action["actionTypeId"]["category"]
        if first and category != "Source":
            raise _structure(
                "Pipeline should start with a stage that only contains source actions: "
                f"'{name}' has '{action['name']}'"
            )
        if not first and category == "Source":
            raise _structure(
                f"Source action '{action['name']}' is in stage '{name}'; source actions can "
                "only be in the first stage"
            )
        _check_action(name, action, v2=v2)
    for condition in _STAGE_CONDITIONS:
        _check_condition(name, condition, stage.get(condition) or {}, first=first)


def _check_action(stage: str, action: Action, *, v2: bool) -> None:
    kind, name = action["actionTypeId"], action["name"]
    provider = PROVIDERS.get((kind["category"], kind["provider"]))
    if provider is None or kind["owner"] != "AWS" or kind["version"] != "1":
        shown = f"{kind['owner']}/{kind['category']}/{kind['provider']}/{kind['version']}"
        raise _action_error(
            stage,
            name,
            f"the action type {shown} is not available (the sandbox has AWS's own, version 1)",
        )
    if provider.only_v2 and not v2:
        raise _action_error(stage, name, f"the provider {kind['provider']} needs pipelineType V2")
    configuration = action.get("configuration") or {}
    for key in provider.keys:
        if not configuration.get(key):
            raise _action_error(stage, name, f"is missing required configuration '{key}'")
    if provider.optional is not None:
        for key in configuration.keys() - {*provider.keys, *provider.optional}:
            raise _action_error(stage, name, f"contains unknown configuration '{key}'")
    for what, bounds in (
        ("inputArtifacts", provider.inputs),
        ("outputArtifacts", provider.outputs),
    ):
        count = len(action.get(what) or [])
        if not bounds[0] <= count <= bounds[1]:
            raise _action_error(
                stage,
                name,
                f"has {count} {what}; {kind['provider']} takes {bounds[0]} to {bounds[1]}",
            )
    if (
        len(action.get("inputArtifacts") or []) > 1
        and kind["provider"] == "CodeBuild"
        and not configuration.get("PrimarySource")
    ):
        raise _action_error(
            stage, name, "more than one input artifact needs the configuration 'PrimarySource'"
        )
    if action.get("timeoutInMinutes") and kind["provider"] != "Manual" and not v2:
        raise _action_error(stage, name, "only manual approvals have timeoutInMinutes")
    if bool(action.get("commands")) != (kind["provider"] == "Commands"):
        raise _action_error(
            stage, name, "'commands' are required for the Commands action, and only allowed there"
        )


def _check_condition(stage: str, name: str, condition: dict[str, Any], *, first: bool) -> None:
    rules = [
        rule
        for conditions in condition.get("conditions") or []
        for rule in conditions.get("rules") or []
    ]
    results = {condition.get("result")} | {
        conditions.get("result") for conditions in condition.get("conditions") or []
    }
    allowed = {
        "beforeEntry": {"FAIL", "SKIP"},
        "onSuccess": {"FAIL", "ROLLBACK"},
        "onFailure": {"FAIL", "ROLLBACK", "RETRY", "SKIP"},
    }
    forbidden = results - {None} - allowed[name]
    if forbidden:
        raise AwsError(
            "InvalidStageDeclarationException",
            f"Stage '{stage}': {name} can't have the result {forbidden.pop()}",
        )
    if first and ((name == "beforeEntry" and condition) or "ROLLBACK" in results):
        raise AwsError(
            "InvalidStageDeclarationException",
            f"Stage '{stage}' is the source stage, which has no entry condition and no rollback",
        )
    if len(rules) > 5:
        raise AwsError(
            "InvalidStageDeclarationException", f"Stage '{stage}': {name} has more than 5 rules"
        )
    for rule in rules:
        provider = rule["ruleTypeId"]["provider"]
        if provider not in RULES:
            raise AwsError(
                "InvalidStageDeclarationException",
                f"Stage '{stage}': rule '{rule['name']}' has no provider {provider}",
            )
        for key in RULES[provider]:
            if not (rule.get("configuration") or {}).get(key):
                text = (
                    f"Stage '{stage}': rule '{rule['name']}' is missing required configuration "
                    f"'{key}'"
                )
                raise AwsError("InvalidStageDeclarationException", text)


def _check_artifacts(stages: list[dict[str, Any]]) -> None:
    """Check that artifacts are produced once, and before they are used."""
    produced: set[str] = set()
    for stage in stages:
        for order in sorted({action.get("runOrder") or 1 for action in stage["actions"]}):
            together = [
                action for action in stage["actions"] if (action.get("runOrder") or 1) == order
            ]
            for action in together:
                for artifact in action.get("inputArtifacts") or []:
                    if artifact["name"] not in produced:
                        text = (
                            f"its input artifact '{artifact['name']}' is not the output of an "
                            "earlier action"
                        )
                        raise _action_error(stage["name"], action["name"], text)
            for action in together:
                for artifact in action.get("outputArtifacts") or []:
                    if artifact["name"] in produced:
                        text = (
                            f"its output artifact '{artifact['name']}' has the name of another "
                            "action's output"
                        )
                        raise _action_error(stage["name"], action["name"], text)
                    produced.add(artifact["name"])


def _check_variables(pipeline: dict[str, Any]) -> None:
    """Check that namespaces are unique and variables refer to earlier actions."""
    declared = {variable["name"] for variable in pipeline.get("variables") or []}
    seen: set[str] = set()
    for stage in pipeline["stages"]:
        for action in sorted(stage["actions"], key=lambda a: a.get("runOrder") or 1):
            variables = action.get("environmentVariables") or []
            for value in (
                *(action.get("configuration") or {}).values(),
                *(variable["value"] for variable in variables),
            ):
                for namespace, name in _REFERENCE.findall(value):
                    if namespace == "variables" and name not in declared:
                        raise _action_error(
                            stage["name"], action["name"], f"there is no pipeline variable '{name}'"
                        )
                    if namespace not in seen | _SYSTEM_NAMESPACES:
                        raise _action_error(
                            stage["name"],
                            action["name"],
                            f"no earlier action has the namespace '{namespace}'",
                        )
            namespace = action.get("namespace")
            if namespace in seen:
                raise _action_error(
                    stage["name"],
                    action["name"],
                    f"the namespace '{namespace}' is used by another action",
                )
            if namespace:
                seen.add(namespace)


def _check_triggers(pipeline: dict[str, Any]) -> None:
    sources = {a["name"]: a["actionTypeId"]["provider"] for a in pipeline["stages"][0]["actions"]}
    for trigger in pipeline.get("triggers") or []:
        configuration = trigger["gitConfiguration"]
        source = configuration["sourceActionName"]
        if sources.get(source) != "CodeStarSourceConnection":
            raise _structure(
                f"A trigger names the source action '{source}', which is not a "
                "CodeStarSourceConnection of this pipeline"
            )
        for push in configuration.get("push") or []:
            if push.get("tags") and (push.get("branches") or push.get("filePaths")):
                raise _structure(
                    f"The trigger of '{source}' filters a push by tags or by branches and "
                    "paths, not by both"
                )
