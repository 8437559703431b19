"""Targets of load balancers: health checks after registration, and the deregistration delay.

States and reasons: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import amends

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_TABLE = "elbv2.target"
_HEALTH = {
    "initial": {
        "State": "initial",
        "Reason": "Elb.RegistrationInProgress",
        "Description": "Target registration is in progress",
    },
    "healthy": {"State": "healthy"},
    "draining": {
        "State": "draining",
        "Reason": "Target.DeregistrationInProgress",
        "Description": "Target deregistration is in progress",
    },
}
_UNUSED = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic from the load balancer",
}


def _group(context: RequestContext, call: Call) -> Any:
    return context.backend("elbv2", call.region).target_groups[call["TargetGroupArn"]]


def _keys(context: RequestContext, call: Call) -> list[tuple[str, ...]]:
    group = _group(context, call)
    return [
        (group.arn, str(target["Id"]), str(target.get("Port") or group.port))
        for target in call["Targets"]
    ]


# The first part of the ARN's resource, by the type of the load balancer.
_ARN_TYPES = {"network": "net", "gateway": "gwy"}


@amends("elbv2", "CreateLoadBalancer")
def arn_of_type(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Name the type in the ARN: moto gives every load balancer the ARN of an application's.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
    """
    backend = context.backend("elbv2", call.region)
    for description in result["LoadBalancers"]:
        kind = _ARN_TYPES.get(description["Type"])
        if kind is not None:
            moto_arn = description["LoadBalancerArn"]
            arn = description["LoadBalancerArn"] = moto_arn.replace("/app/", f"/{kind}/", 1)
            balancer = backend.load_balancers[arn] = backend.load_balancers.pop(moto_arn)
            balancer.arn = arn
            tags = backend.tagging_service
            tags.tags[arn] = tags.tags.pop(moto_arn, {})


@amends("elbv2", "RegisterTargets")
def check_health(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Make new targets healthy after their health checks."""
    targets = context.table(_TABLE)
    for key in _keys(context, call):
        if targets.get(key, {}).get("state") in {"initial", "healthy"}:
            continue
        record = targets[key] = {"state": "initial"}

        def pass_checks(key: tuple[str, ...] = key, record: dict[str, Any] = record) -> None:
            if targets.get(key) is record and record["state"] == "initial":
                record["state"] = "healthy"

        context.later(("elbv2", "target.register"), pass_checks)


@amends("elbv2", "DeregisterTargets")
def drain(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Keep deregistered targets draining for the group's deregistration delay."""
    targets = context.table(_TABLE)
    attributes = _group(context, call).attributes
    delay = float(attributes.get("deregistration_delay.timeout_seconds", 300))
    for key in _keys(context, call):
        record = targets[key] = {"state": "draining"}

        def forget(key: tuple[str, ...] = key, record: dict[str, Any] = record) -> None:
            if targets.get(key) is record:
                del targets[key]

        context.schedule.add(context.clock.time() + delay * context.time_scale, forget)


@amends("elbv2", "DescribeTargetHealth")
def describe_health(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Report the state of each target; without `Targets`, draining ones too."""
    group, targets = _group(context, call), context.table(_TABLE)
    descriptions = result.setdefault("TargetHealthDescriptions", [])
    present: set[tuple[str, ...]] = set()
    for item in descriptions:
        target = item["Target"]
        key: tuple[str, ...] = (
            str(group.arn),
            str(target["Id"]),
            str(target.get("Port") or group.port),
        )
        present.add(key)
        record = targets.get(key)
        if record is not None:
            in_use = bool(group.load_balancer_arns)
            item["TargetHealth"] = dict(_HEALTH[record["state"]] if in_use else _UNUSED)
    if call.get("Targets"):
        return
    for key, record in targets.items():
        if key[0] == group.arn and key not in present and record["state"] == "draining":
            descriptions.append(
                {
                    "Target": {"Id": key[1], "Port": int(key[2])},
                    "HealthCheckPort": str(group.health_check_port),
                    "TargetHealth": dict(_HEALTH["draining"]),
                }
            )


@amends("elbv2", "DeleteTargetGroup")
def forget_targets(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Delete the targets of a group with it."""
    targets = context.table(_TABLE)
    for key in [key for key in targets if key[0] == call["TargetGroupArn"]]:
        del targets[key]
