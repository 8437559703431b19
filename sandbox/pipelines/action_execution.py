"""Runs one action of an execution, and records its result."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.contracts.build_runner import BuildRunner
from sandbox.contracts.service_event import Emit
from sandbox.pipelines.account_clients import AccountClients, RoleSession
from sandbox.pipelines.actions import PROVIDERS, ActionContext, ActionError, ActionResult
from sandbox.pipelines.actions.action import PermissionCheck, denied_or_failed
from sandbox.pipelines.pipeline import EndedRunError, InterruptedRunError, Pipeline
from sandbox.pipelines.records import ActionRun, Execution, StageRun, now
from sandbox.pipelines.repositories import Repositories
from sandbox.pipelines.variables import UnresolvedVariableError, resolve

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Services:
    """What executions need of the sandbox."""

    clients: AccountClients
    repositories: Repositories
    builds: BuildRunner
    permits: PermissionCheck
    time_scale: float = 1.0
    emit: Emit = lambda _event: None


def role_session(
    services: Services, execution: Execution, declaration: Mapping[str, Any]
) -> RoleSession:
    """Return a session of the declared role, which the pipeline's role assumes, or of that role.

    Raises ClientError if a role cannot be assumed.
    """
    pipeline_role, own = str(execution.definition["roleArn"]), declaration.get("roleArn")
    region, pipeline = execution.region, execution.pipeline
    if not own or own == pipeline_role:
        return services.clients.assume(region, pipeline, pipeline_role)
    return services.clients.assume(region, pipeline, str(own), through=pipeline_role)


def run_action(
    pipeline: Pipeline,
    execution: Execution,
    stage: StageRun,
    declaration: Mapping[str, Any],
    services: Services,
) -> bool:
    """Run an action, or continue it after a restart; return whether it succeeded."""
    if stage.has_failed(declaration["name"]):
        return False  # before a restart
    run = stage.latest(declaration["name"])
    if run is None or run.status != "InProgress":
        run = ActionRun(id=str(uuid.uuid4()), name=declaration["name"])
        with pipeline.update(execution):
            stage.actions.append(run)
    try:
        result = _perform(pipeline, execution, stage, run, declaration, services)
    except (EndedRunError, InterruptedRunError):
        raise
    except ActionError as error:
        _fail(pipeline, execution, run, error)
        return False
    except Exception as error:  # noqa: BLE001 - an execution must end for any fault
        _LOG.exception("%s, action %s", execution.pipeline_arn, run.name)
        text = f"The action failed inside the sandbox: {type(error).__name__}: {error}"
        _fail(pipeline, execution, run, ActionError("InternalError", text))
        return False
    with pipeline.update(execution):
        pipeline.check(execution)
        run.status, run.updated = "Succeeded", now()
        run.summary, run.variables = result.summary, dict(result.variables)
        run.outputs = dict(result.outputs)
        execution.artifacts.update(result.outputs)
        if declaration.get("namespace"):
            execution.outputs[declaration["namespace"]] = dict(result.variables)
        if result.revision is not None:
            execution.revisions[run.name] = result.revision
        stage.completed.append(run.name)
    return True


def action_context(
    execution: Execution,
    stage: str,
    run: ActionRun,
    declaration: Mapping[str, Any],
    services: Services,
    pause: Callable[[float], None],
    update: Callable[..., None],
) -> ActionContext:
    """Return the context of an action or rule. Raises ClientError."""
    return ActionContext(
        execution=execution,
        stage=stage,
        declaration=declaration,
        run=run,
        configuration=run.configuration,
        role=role_session(services, execution, declaration),
        clients=services.clients,
        repositories=services.repositories,
        builds=services.builds,
        permits=services.permits,
        pause=pause,
        update=update,
    )


def _perform(
    pipeline: Pipeline,
    execution: Execution,
    stage: StageRun,
    run: ActionRun,
    declaration: Mapping[str, Any],
    services: Services,
) -> ActionResult:
    """Raises ActionError."""
    kind = declaration["actionTypeId"]
    provider = PROVIDERS.get((kind["category"], kind["provider"]))
    if provider is None:
        raise ActionError(
            "ConfigurationError",
            f"The action provider {kind['category']}/{kind['provider']} is not emulated by the "
            "sandbox",
        )

    def update(**fields: Any) -> None:
        with pipeline.update(execution):
            for name, value in fields.items():
                setattr(run, name, value)
            run.updated = now()

    try:
        update(
            configuration=resolve(declaration.get("configuration") or {}, execution),
            inputs={
                item["name"]: execution.artifacts[item["name"]]
                for item in declaration.get("inputArtifacts") or []
                if item["name"] in execution.artifacts
            },
        )
        pause = pause_of(pipeline, execution, run, declaration)
        return provider(
            action_context(execution, stage.name, run, declaration, services, pause, update)
        )
    except UnresolvedVariableError as error:
        raise ActionError("ConfigurationError", str(error)) from None
    except ClientError as error:
        raise denied_or_failed(error) from None
    except BotoCoreError as error:
        raise ActionError("JobFailed", f"The account does not answer: {error}") from None


def pause_of(
    pipeline: Pipeline, execution: Execution, run: ActionRun, declaration: Mapping[str, Any]
) -> Callable[[float], None]:
    """Return the wait of an action or rule, which fails it after its own time-out."""
    minutes = declaration.get("timeoutInMinutes")
    is_approval = (declaration.get("actionTypeId") or {}).get("category") == "Approval"
    kind = "action" if "actionTypeId" in declaration else "rule"
    expires = run.started + timedelta(minutes=minutes) if minutes and not is_approval else None

    def pause(seconds: float) -> None:
        if expires is not None and now() > expires:
            raise ActionError("TimedOut", f"The {kind} has not ended within {minutes} minutes")
        pipeline.pause(execution, seconds)

    return pause


def _fail(pipeline: Pipeline, execution: Execution, run: ActionRun, error: ActionError) -> None:
    with pipeline.update(execution):
        pipeline.check(execution)
        run.status, run.updated = "Failed", now()
        run.error_code, run.error_message = error.code, error.message
