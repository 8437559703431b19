"""Rules of stage conditions.

Source: CodePipeline User Guide, "Rule structure reference".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from botocore.exceptions import ClientError

from sandbox.pipelines import cron
from sandbox.pipelines.account_clients import RoleSession
from sandbox.pipelines.actions import ActionContext, ActionError
from sandbox.pipelines.actions.codebuild import run_build
from sandbox.pipelines.actions.commands import run_commands

_POLL_SECONDS = 1.0
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "EQ": lambda variable, value: variable == value,
    "NE": lambda variable, value: variable != value,
    "CONTAINS": lambda variable, value: value in variable,
    "MATCHES": lambda variable, value: re.search(value, variable) is not None,
}


class RuleError(Exception):
    """A rule failed; the message says why."""


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """A rule that runs, as an action of its stage; `time_scale` multiplies times to wait."""

    action: ActionContext
    time_scale: float

    @property
    def configuration(self) -> Mapping[str, str]:
        """The configuration with its variables replaced."""
        return self.action.configuration

    @property
    def role(self) -> RoleSession:
        """The session of the rule's or the pipeline's role."""
        return self.action.role

    @property
    def pause(self) -> Callable[[float], None]:
        """Waits at most so many seconds, and raises what ends the rule."""
        return self.action.pause


def check_rule(provider: str, context: RuleContext) -> str:
    """Return the summary of a rule that holds. Raises RuleError for one that does not."""
    check = _PROVIDERS.get(provider)
    if check is None:
        raise RuleError(f"The rule {provider} is not emulated by the sandbox")
    try:
        return check(context)
    except ActionError as error:
        raise RuleError(error.message) from None


def _check_alarm(context: RuleContext) -> str:
    """Fail if the alarm has one of the states now, or within WaitTime minutes."""
    name = context.configuration["AlarmName"]
    states = (context.configuration.get("AlarmStates") or "ALARM").replace(" ", "").split(",")
    minutes = float(context.configuration.get("WaitTime") or 0)
    deadline = time.monotonic() + minutes * 60 * context.time_scale
    cloudwatch = context.role.client("cloudwatch")
    while True:
        try:
            response = cloudwatch.describe_alarms(
                AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
        except ClientError as error:
            raise RuleError(error.response["Error"]["Message"]) from None
        alarms = [*response.get("MetricAlarms", ()), *response.get("CompositeAlarms", ())]
        if not alarms:
            raise RuleError(f"The alarm {name} does not exist")
        state = alarms[0]["StateValue"]
        if state in states:
            raise RuleError(f"The alarm {name} is in state {state}")
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return f"The alarm {name} is in state {state}"
        context.pause(min(remaining, _POLL_SECONDS))


def _check_variable(context: RuleContext) -> str:
    variable, value = context.configuration["Variable"], context.configuration["Value"]
    operator = context.configuration["Operator"]
    if operator not in _OPERATORS:
        raise RuleError(f"The operator {operator} is not one of {', '.join(_OPERATORS)}")
    try:
        holds = _OPERATORS[operator](variable, value)
    except re.error as error:
        raise RuleError(f"The value {value!r} is not a regular expression: {error}") from None
    statement = f"{variable!r} {operator} {value!r}"
    if not holds:
        raise RuleError(f"The variable check {statement} is false")
    return f"The variable check {statement} is true"


def _check_window(context: RuleContext) -> str:
    """Wait until the window is open; the rule's time-out ends the wait."""
    expression, name = context.configuration["Cron"], context.configuration.get("TimeZone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise RuleError(f"The time zone {name} does not exist") from None
    try:
        while not cron.matches(expression, datetime.now(zone)):
            context.pause(_POLL_SECONDS)
    except ValueError as error:
        raise RuleError(f"Cron is invalid: {error}") from None
    return f"The deployment window {expression} ({name}) is open"


def _run_project(context: RuleContext) -> str:
    """Run the project; the rule holds if its build succeeds."""
    return run_build(context.action).summary


def _run_commands(context: RuleContext) -> str:
    """Run the commands; the rule holds if they succeed."""
    return run_commands(context.action).summary


_PROVIDERS: dict[str, Callable[[RuleContext], str]] = {
    "CloudWatchAlarm": _check_alarm,
    "CodeBuild": _run_project,
    "Commands": _run_commands,
    "DeploymentWindow": _check_window,
    "VariableCheck": _check_variable,
}
