"""What follows a failed stage: retry, rollback, skip, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.account.conftest import refused
from tests.sandbox.pipelines.conftest import PIPELINE, World, action, stage

RELEASE = '[{"name": "COMMIT", "value": "#{source.VersionId}"}]'


def deploy(**more: Any) -> dict[str, Any]:
    configuration = {"ProjectName": "deploy", "EnvironmentVariables": RELEASE}
    return stage("Deploy", action("Deploy", configuration=configuration), **more)


def rule(name: str, provider: str, **configuration: str) -> dict[str, Any]:
    kind = {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "ruleTypeId": kind, "configuration": configuration}


def condition(result: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": [{"result": result, "rules": list(rules)}]}


def alarm(world: World, state: str) -> None:
    cloudwatch = world.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="n",
        MetricName="m",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="test")


def test_failed_stage_is_rolled_back_to_the_last_successful_execution(world: World) -> None:
    good = world.create(deploy(onFailure={"result": "ROLLBACK"}))
    old = world.builds.variables[0]["COMMIT"]
    new = world.upload("second")
    world.builds.script("deploy", "FAILED", "SUCCEEDED")
    bad = world.release()
    failed = world.ended(bad, "Failed")
    rollback = world.ids()[0]
    assert (
        f"Execution {rollback} rolls the stage back to execution {good}"
        in (failed["statusSummary"])
    )
    execution = world.ended(rollback, "Succeeded")
    assert execution["executionType"] == "ROLLBACK"
    assert execution["trigger"] == {"triggerType": "AutomatedRollback", "triggerDetail": bad}
    assert execution["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": good}
    assert [item["COMMIT"] for item in world.builds.variables] == [old, new, old]
    assert [item["actionName"] for item in world.actions(rollback)] == ["Deploy"]
    inputs = [order.inputs[0].key for order in world.builds.orders]
    assert inputs[0] == inputs[2] != inputs[1]


def test_rollback_without_a_successful_execution_is_reported(world: World) -> None:
    world.builds.script("deploy", "FAILED")
    first = world.create(deploy(onFailure={"result": "ROLLBACK"}))
    failed = world.ended(first, "Failed")
    assert failed["statusSummary"].endswith("There is no successful execution to roll back to")
    assert world.ids() == [first]


def test_stage_is_rolled_back_on_request(world: World) -> None:
    good = world.create(deploy())
    world.upload("second")
    bad = world.release()
    world.ended(bad, "Succeeded")
    one = {"pipelineName": PIPELINE, "stageName": "Deploy"}
    id = world.pipelines.rollback_stage(**one, targetPipelineExecutionId=good)[
        "pipelineExecutionId"
    ]
    assert world.ended(id, "Succeeded")["trigger"]["triggerType"] == "ManualRollback"
    with refused("UnableToRollbackStageException"):
        world.pipelines.rollback_stage(**one, targetPipelineExecutionId=id)
    with refused("PipelineExecutionNotFoundException"):
        world.pipelines.rollback_stage(
            **one, targetPipelineExecutionId="11111111-1111-1111-1111-111111111111"
        )


@pytest.mark.parametrize(("mode", "builds"), [("FAILED_ACTIONS", 1), ("ALL_ACTIONS", 2)])
def test_failed_stage_is_retried(world: World, mode: str, builds: int) -> None:
    world.builds.script("two", "FAILED", "SUCCEEDED")
    id = world.create(stage("Build", action("One"), action("Two", runOrder=2)))
    world.ended(id, "Failed")
    request = {
        "pipelineName": PIPELINE,
        "stageName": "Build",
        "pipelineExecutionId": id,
        "retryMode": mode,
    }
    world.pipelines.retry_stage_execution(**request)
    world.ended(id, "Succeeded")
    assert len(world.builds.started("one")) == builds
    assert world.state("Build")["retryStageMetadata"]["latestRetryTrigger"] == "ManualStageRetry"
    with refused("StageNotRetryableException"):
        world.pipelines.retry_stage_execution(**request)


def test_stage_with_a_newer_execution_is_not_retried(world: World) -> None:
    world.builds.script("build", "FAILED", "SUCCEEDED")
    id = world.create(stage("Build"))
    world.ended(id, "Failed")
    world.ended(world.release(), "Succeeded")
    with refused("NotLatestPipelineExecutionException"):
        world.pipelines.retry_stage_execution(
            pipelineName=PIPELINE,
            stageName="Build",
            pipelineExecutionId=id,
            retryMode="FAILED_ACTIONS",
        )


def test_result_retry_repeats_the_stage_once(world: World) -> None:
    world.builds.script("build", "FAILED", "SUCCEEDED")
    failure = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}
    world.ended(world.create(stage("Build", onFailure=failure)), "Succeeded")
    world.builds.script("build", "FAILED")
    world.ended(world.release(), "Failed")
    assert len(world.builds.started("build")) == 4


def test_result_skip_continues_after_a_failed_stage(world: World) -> None:
    world.builds.script("build", "FAILED")
    id = world.create(stage("Build", onFailure={"result": "SKIP"}), stage("Deploy"))
    world.ended(id, "Succeeded")
    assert world.state("Build")["latestExecution"]["status"] == "Skipped"


def test_alarm_fails_the_condition_on_success(world: World) -> None:
    alarm(world, "ALARM")
    checks = rule("Quiet", "CloudWatchAlarm", AlarmName="errors", WaitTime="10")
    id = world.create(stage("Build", onSuccess=condition("FAIL", checks)), stage("Deploy"))
    world.ended(id, "Failed")
    assert world.state("Build")["onSuccessConditionState"]["latestExecution"]["status"] == "Failed"
    response = world.pipelines.list_rule_executions(pipelineName=PIPELINE)
    detail = response["ruleExecutionDetails"][0]
    assert detail["output"]["executionResult"]["errorDetails"]["message"] == (
        "The alarm errors is in state ALARM"
    )
    world.pipelines.override_stage_condition(
        pipelineName=PIPELINE,
        stageName="Build",
        pipelineExecutionId=id,
        conditionType="ON_SUCCESS",
    )
    world.ended(id, "Succeeded")
    assert len(world.builds.started("build")) == 1
    with refused("ConditionNotOverridableException"):
        world.pipelines.override_stage_condition(
            pipelineName=PIPELINE,
            stageName="Build",
            pipelineExecutionId=id,
            conditionType="ON_SUCCESS",
        )


def test_quiet_alarm_and_missing_permission(world: World) -> None:
    alarm(world, "OK")
    checks = rule("Quiet", "CloudWatchAlarm", AlarmName="errors")
    world.ended(world.create(stage("Build", onSuccess=condition("FAIL", checks))), "Succeeded")
    world.client("iam").delete_role_policy(RoleName="pipeline", PolicyName="alarms")
    world.ended(world.release(), "Failed")
    detail = world.pipelines.list_rule_executions(pipelineName=PIPELINE)["ruleExecutionDetails"][0]
    assert (
        "cloudwatch:DescribeAlarms"
        in (detail["output"]["executionResult"]["errorDetails"]["message"])
    )


@pytest.mark.parametrize(("value", "status"), [("first", "Skipped"), ("other", "Succeeded")])
def test_entry_condition_skips_the_stage(world: World, value: str, status: str) -> None:
    check = rule("Check", "VariableCheck", Variable="#{variables.V}", Value=value, Operator="NE")
    id = world.create(
        stage("Build", beforeEntry=condition("SKIP", check)),
        stage("Deploy"),
        variables=[{"name": "V", "defaultValue": "first"}],
    )
    world.ended(id, "Succeeded")
    assert world.state("Build")["latestExecution"]["status"] == status
    assert len(world.builds.started("build")) == (status == "Succeeded")


def test_rule_that_is_not_emulated_fails_by_name(world: World) -> None:
    check = rule("Invoke", "LambdaInvoke", FunctionName="f")
    id = world.create(stage("Build", beforeEntry=condition("FAIL", check)))
    world.ended(id, "Failed")
    detail = world.pipelines.list_rule_executions(pipelineName=PIPELINE)["ruleExecutionDetails"][0]
    assert (
        "LambdaInvoke is not emulated"
        in (detail["output"]["executionResult"]["errorDetails"]["message"])
    )


def test_execution_waits_for_the_deployment_window(world: World) -> None:
    check = rule("Window", "DeploymentWindow", Cron="* * * ? * * 2199") | {"timeoutInMinutes": 60}
    id = world.create(deploy(beforeEntry=condition("FAIL", check)), wait=False)
    world.wait(lambda: rules(world))
    assert [item["status"] for item in rules(world)] == ["InProgress"]
    world.pipelines.stop_pipeline_execution(
        pipelineName=PIPELINE, pipelineExecutionId=id, abandon=True
    )
    world.ended(id, "Stopped")
    world.pipelines.update_pipeline(
        pipeline=world.pipelines.get_pipeline(name=PIPELINE)["pipeline"]
        | {"stages": [*source(world), deploy(beforeEntry=condition("FAIL", open_window()))]}
    )
    world.ended(world.release(), "Succeeded")
    assert "is open" in rules(world)[0]["output"]["executionResult"]["externalExecutionSummary"]


def open_window() -> dict[str, Any]:
    return rule("Window", "DeploymentWindow", Cron="* * * ? * *", TimeZone="Europe/Berlin")


def source(world: World) -> list[dict[str, Any]]:
    return list(world.pipelines.get_pipeline(name=PIPELINE)["pipeline"]["stages"][:1])


def rules(world: World) -> list[dict[str, Any]]:
    return list(world.pipelines.list_rule_executions(pipelineName=PIPELINE)["ruleExecutionDetails"])


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"Cron": "* * * *"}, "Cron is invalid: the cron expression '* * * *' must have 6 or 7"),
        ({"Cron": "* * * ? * *", "TimeZone": "Mars/Base"}, "time zone Mars/Base does not exist"),
    ],
)
def test_invalid_window_fails_the_rule(
    world: World, configuration: dict[str, str], message: str
) -> None:
    check = rule("Window", "DeploymentWindow", **configuration)
    world.ended(world.create(deploy(beforeEntry=condition("FAIL", check))), "Failed")
    error = rules(world)[0]["output"]["executionResult"]["errorDetails"]
    assert message in error["message"]


def test_rule_runs_a_project_and_holds_if_its_build_succeeds(world: World) -> None:
    world.builds.script("smoke", "FAILED", "SUCCEEDED")
    smoke = rule("Smoke", "CodeBuild", ProjectName="smoke") | {
        "inputArtifacts": [{"name": "source"}]
    }
    first = world.create(
        stage("Build", action("Smoke")),
        deploy(onSuccess=condition("FAIL", smoke)),
    )
    assert world.execution(first)["status"] == "Failed"
    world.builds.script("smoke", "SUCCEEDED", "FAILED", "SUCCEEDED")
    failed = world.ended(world.release(), "Failed")
    assert failed["statusSummary"] == "Stage Deploy: the condition on success failed"
    detail = rules(world)[0]
    assert detail["output"]["executionResult"]["errorDetails"]["message"].startswith(
        "Build terminated with state: FAILED. Phase: BUILD"
    )
    world.ended(world.release(), "Succeeded")
    assert rules(world)[0]["status"] == "Succeeded"


def test_rule_runs_commands(world: World) -> None:
    world.builds.script("release-Deploy-Smoke", "FAILED", "SUCCEEDED")
    smoke = rule("Smoke", "Commands") | {
        "commands": ["./smoke"],
        "inputArtifacts": [{"name": "source"}],
    }
    first = world.create(deploy(onSuccess=condition("FAIL", smoke)))
    assert world.execution(first)["status"] == "Failed"
    world.ended(world.release(), "Succeeded")
    assert rules(world)[0]["status"] == "Succeeded"
