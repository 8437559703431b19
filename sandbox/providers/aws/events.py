"""EventBridge: rules and targets, under pulumi_aws's module name cloudwatch
(aws.cloudwatch.EventRule).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import (
    block,
    boolean,
    integer,
    json_text,
    length,
    list_of,
    map_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Failure, Properties

_MISSING = ("ResourceNotFoundException",)
_STATES = ("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")


def _split(id: str, separator: str) -> tuple[str, str]:
    """Return bus and rule of an ID, which omits the default bus."""
    bus, _, rule = id.rpartition(separator)
    return bus or "default", rule


class EventRule(Handler):
    """An event rule: a pattern or a schedule."""

    token = "aws:cloudwatch/eventRule:EventRule"
    noun = "EventBridge Rule"
    inputs = {
        "name": text(replaces=True, rule=length(1, 64)),
        "namePrefix": text(replaces=True, write_only=True),
        "description": text(rule=length(0, 512)),
        "eventBusName": text(default="default", replaces=True),
        "eventPattern": json_text(),
        "scheduleExpression": text(rule=length(0, 256)),
        "forceDestroy": boolean(default=False, write_only=True),
        "isEnabled": boolean(write_only=True),
        "roleArn": text(),
        "state": text(computed=True, one_of=_STATES),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 64, unless=("namePrefix",))
    conflicts = (("name", "namePrefix"), ("isEnabled", "state"))
    one_needed = (("eventPattern", "scheduleExpression"),)
    tagged = True
    missing = _MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Put the rule."""
        name = inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}"[:64]
        bus = inputs["eventBusName"]
        self._put(call, name, inputs, Tags=tag_list(inputs["tagsAll"]))
        return call.record_created(name if bus == "default" else f"{bus}/{name}")

    def _put(self, call: Call, name: str, inputs: Properties, **more: Any) -> None:
        enabled = inputs.get("isEnabled")
        state = inputs.get("state") if enabled is None else "ENABLED" if enabled else "DISABLED"
        call.client("events").put_rule(
            **filled(
                Name=name,
                EventBusName=inputs["eventBusName"],
                Description=inputs.get("description"),
                EventPattern=inputs.get("eventPattern"),
                ScheduleExpression=inputs.get("scheduleExpression"),
                RoleArn=inputs.get("roleArn"),
                State=state or "ENABLED",
                **more,
            )
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the rule."""
        events, (bus, name) = call.client("events"), _split(id, "/")
        rule = events.describe_rule(Name=name, EventBusName=bus)
        return {
            "name": name,
            "eventBusName": rule.get("EventBusName") or bus,
            "description": rule.get("Description"),
            "eventPattern": rule.get("EventPattern"),
            "scheduleExpression": rule.get("ScheduleExpression"),
            "roleArn": rule.get("RoleArn"),
            "state": rule["State"],
            "arn": rule["Arn"],
            "tagsAll": tag_map(events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the rule's definition."""
        if changed - {"forceDestroy"}:
            desired = {**new, "isEnabled": new.get("isEnabled") if "isEnabled" in changed else None}
            if "isEnabled" in changed and new.get("isEnabled") is None:
                desired["state"] = "ENABLED"
            self._put(call, _split(id, "/")[1], desired)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the rule."""
        if drop:
            call.client("events").untag_resource(ResourceARN=state["arn"], TagKeys=list(drop))
        if put:
            call.client("events").tag_resource(ResourceARN=state["arn"], Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the rule."""
        bus, name = _split(id, "/")
        force = {"Force": True} if state.get("forceDestroy") else {}
        call.retrying(
            lambda: call.client("events").delete_rule(Name=name, EventBusName=bus, **force),
            ("ValidationException",),
            seconds=2,
        )


class EventTarget(Handler):
    """A target of a rule. Targets with their own settings (ECS, Batch, …) are not emulated."""

    token = "aws:cloudwatch/eventTarget:EventTarget"
    noun = "EventBridge Target"
    inputs = {
        "rule": text(required=True, replaces=True),
        "arn": text(required=True),
        "eventBusName": text(default="default", replaces=True),
        "targetId": text(replaces=True, rule=length(1, 64)),
        "input": json_text(),
        "inputPath": text(),
        "inputTransformer": block({"inputPaths": map_of(), "inputTemplate": text(required=True)}),
        "roleArn": text(),
        "forceDestroy": boolean(default=False, write_only=True),
        "deadLetterConfig": block({"arn": text()}),
        "retryPolicy": block(
            {"maximumEventAgeInSeconds": integer(), "maximumRetryAttempts": integer()}
        ),
        "runCommandTargets": list_of(
            block({"key": text(required=True), "values": list_of(text())})
        ),
    }
    autoname = AutoName("targetId", 64)
    conflicts = (("input", "inputPath", "inputTransformer"),)
    missing = _MISSING

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Limit the targets of Run Command."""
        commands = inputs.get("runCommandTargets") or ()
        if isinstance(commands, list) and len(commands) > 5:
            yield "runCommandTargets", "must be at most 5"

    def create(self, call: Call, inputs: Properties) -> str:
        """Put the target."""
        self._put(call, inputs)
        bus = inputs["eventBusName"]
        parts = (
            (inputs["rule"], inputs["targetId"])
            if bus == "default"
            else (bus, inputs["rule"], inputs["targetId"])
        )
        return call.record_created("-".join(parts))

    def _put(self, call: Call, inputs: Properties) -> None:
        transformer, retry = inputs.get("inputTransformer") or {}, inputs.get("retryPolicy") or {}
        commands = [
            {"Key": c["key"], "Values": c["values"]} for c in inputs.get("runCommandTargets") or ()
        ]
        target = filled(
            Id=inputs["targetId"],
            Arn=inputs["arn"],
            Input=inputs.get("input"),
            InputPath=inputs.get("inputPath"),
            InputTransformer=filled(
                InputPathsMap=transformer.get("inputPaths"),
                InputTemplate=transformer.get("inputTemplate"),
            ),
            RoleArn=inputs.get("roleArn"),
            DeadLetterConfig=filled(Arn=(inputs.get("deadLetterConfig") or {}).get("arn")),
            RetryPolicy=filled(
                MaximumEventAgeInSeconds=retry.get("maximumEventAgeInSeconds"),
                MaximumRetryAttempts=retry.get("maximumRetryAttempts"),
            ),
            RunCommandParameters={"RunCommandTargets": commands} if commands else None,
        )
        response = call.client("events").put_targets(
            Rule=inputs["rule"], EventBusName=inputs["eventBusName"], Targets=[target]
        )
        if response.get("FailedEntryCount"):
            refused = response["FailedEntries"][0]
            raise Failure(f"{refused.get('ErrorCode')}: {refused.get('ErrorMessage')}")

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Find the target; imported by `RULE/TARGET` or `BUS/RULE/TARGET`."""
        if state.get("rule"):
            bus, rule, target = state["eventBusName"], state["rule"], state["targetId"]
        else:
            parts = id.split("/")
            if len(parts) not in (2, 3):
                raise Failure(f'"{id}" has no target: import it as RULE/TARGET or BUS/RULE/TARGET')
            bus, rule, target = ["default", *parts] if len(parts) == 2 else parts
        response = call.client("events").list_targets_by_rule(Rule=rule, EventBusName=bus)
        description = next((t for t in response["Targets"] if t["Id"] == target), None)
        if description is None:
            return None
        transformer, retry = (
            description.get("InputTransformer") or {},
            description.get("RetryPolicy") or {},
        )
        commands = (description.get("RunCommandParameters") or {}).get("RunCommandTargets") or ()
        return {
            "id": "-".join((rule, target) if bus == "default" else (bus, rule, target)),
            "rule": rule,
            "eventBusName": bus,
            "targetId": target,
            "arn": description["Arn"],
            "input": description.get("Input"),
            "inputPath": description.get("InputPath"),
            "inputTransformer": filled(
                inputPaths=transformer.get("InputPathsMap"),
                inputTemplate=transformer.get("InputTemplate"),
            )
            or None,
            "roleArn": description.get("RoleArn"),
            "deadLetterConfig": filled(arn=(description.get("DeadLetterConfig") or {}).get("Arn"))
            or None,
            "retryPolicy": filled(
                maximumEventAgeInSeconds=retry.get("MaximumEventAgeInSeconds"),
                maximumRetryAttempts=retry.get("MaximumRetryAttempts"),
            )
            or None,
            "runCommandTargets": [{"key": c["Key"], "values": c["Values"]} for c in commands],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Replace the target's definition."""
        self._put(call, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Remove the target."""
        force = {"Force": True} if state.get("forceDestroy") else {}
        call.client("events").remove_targets(
            Rule=state["rule"], EventBusName=state["eventBusName"], Ids=[state["targetId"]], **force
        )


TYPES = (EventRule(), EventTarget())
