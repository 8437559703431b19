"""Listeners, rules and target groups of an ELBv2, as AWS's controllers create them.

An Ingress has a rule for each host and path; other requests get 404, or a redirect to HTTPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sandbox.contracts.service_proxy import Listener, Route
from sandbox.kubernetes.ports import LoadBalancerError, LoadBalancerSpec

_CERTIFICATES = {
    "application": "alb.ingress.kubernetes.io/certificate-arn",
    "network": "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
}
_POLICIES = {
    "application": "alb.ingress.kubernetes.io/ssl-policy",
    "network": "service.beta.kubernetes.io/aws-load-balancer-ssl-negotiation-policy",
}
_NOT_FOUND = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"},
}


def apply(
    elb: Any,
    spec: LoadBalancerSpec,
    balancer: dict[str, Any],
    prefix: str,
    tags: Sequence[dict[str, str]],
) -> None:
    """Make listeners, rules and targets match the specification; `prefix` names target groups.

    Raises LoadBalancerError.
    """
    arn = balancer["LoadBalancerArn"]
    present = {
        item["Port"]: item for item in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    }
    groups = _target_groups(elb, spec, balancer["VpcId"], prefix, tags)
    for listener in spec.listeners:
        content = _content(spec, listener, groups)
        current = present.pop(listener.port, None)
        if current is None:
            current = elb.create_listener(LoadBalancerArn=arn, Port=listener.port, **content)[
                "Listeners"
            ][0]
        elif any(current.get(key) != value for key, value in content.items()):
            elb.modify_listener(ListenerArn=current["ListenerArn"], **content)
        if spec.type == "application":
            _apply_rules(elb, current["ListenerArn"], listener, groups)
    for listener_document in present.values():
        elb.delete_listener(ListenerArn=listener_document["ListenerArn"])
    for key, group in groups.items():
        _register_targets(elb, group, spec.targets.get(key, ()))


def _target_groups(
    elb: Any, spec: LoadBalancerSpec, vpc: str, prefix: str, tags: Sequence[dict[str, str]]
) -> dict[tuple[str, int], str]:
    """Return the ARN of each route's target group; a failed earlier call may have created it."""
    present = {
        item["TargetGroupName"]: item["TargetGroupArn"]
        for item in elb.describe_target_groups()["TargetGroups"]
    }
    protocol = {"application": "HTTP", "network": "TCP"}[spec.type]
    groups: dict[tuple[str, int], str] = {}
    for listener in spec.listeners:
        for route in listener.routes:
            service, port = route.service, route.port
            suffix = str(port)
            if spec.type == "application":
                suffix = sha256(f"{service}:{port}".encode()).hexdigest()[:6]
            name = f"{prefix}-{suffix}"
            if name not in present:
                created = elb.create_target_group(
                    Name=name,
                    Protocol=protocol,
                    Port=port,
                    VpcId=vpc,
                    TargetType="ip",
                    Tags=tags,
                )
                present[name] = created["TargetGroups"][0]["TargetGroupArn"]
            groups[service, port] = present[name]
    return groups


def _content(
    spec: LoadBalancerSpec, listener: Listener, groups: dict[tuple[str, int], str]
) -> dict[str, Any]:
    """Return protocol, default action, certificates and policy of a listener."""
    if spec.type == "network":
        [route] = listener.routes
        action = _forward(groups[route.service, route.port])
    elif listener.redirect_port:
        action = {
            "Type": "redirect",
            "RedirectConfig": {
                "Protocol": "HTTPS",
                "Port": str(listener.redirect_port),
                "StatusCode": "HTTP_301",
            },
        }
    else:
        action = _NOT_FOUND
    content: dict[str, Any] = {"Protocol": listener.protocol, "DefaultActions": [action]}
    if listener.protocol in {"TLS", "HTTPS"}:
        certificate = spec.annotations.get(_CERTIFICATES[spec.type], "").split(",")[0].strip()
        if not certificate:
            raise LoadBalancerError(
                f"no certificate found for host of {spec.kind.lower()} {spec.name}: set "
                f"{_CERTIFICATES[spec.type]}"
            )
        content["Certificates"] = [{"CertificateArn": certificate}]
        if policy := spec.annotations.get(_POLICIES[spec.type]):
            content["SslPolicy"] = policy
    return content


def _apply_rules(
    elb: Any, listener_arn: str, listener: Listener, groups: dict[tuple[str, int], str]
) -> None:
    """Replace the rules unless they are as required."""
    required = []
    if not listener.redirect_port:
        required = [
            (_conditions(route), [_forward(groups[route.service, route.port])])
            for route in listener.routes
        ]
    present = [
        rule
        for rule in elb.describe_rules(ListenerArn=listener_arn)["Rules"]
        if not rule["IsDefault"]
    ]
    present.sort(key=lambda rule: int(rule["Priority"]))
    if [(_values(rule["Conditions"]), _groups(rule["Actions"])) for rule in present] == [
        (_values(conditions), _groups(actions)) for conditions, actions in required
    ]:
        return
    for rule in present:
        elb.delete_rule(RuleArn=rule["RuleArn"])
    for priority, (conditions, actions) in enumerate(required, start=1):
        elb.create_rule(
            ListenerArn=listener_arn, Priority=priority, Conditions=conditions, Actions=actions
        )


def _conditions(route: Route) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    if route.host:
        values = {"HostHeaderConfig": {"Values": [route.host]}}
        conditions.append({"Field": "host-header", **values})
    path = route.path.rstrip("/")
    paths = [route.path] if route.exact else [path, f"{path}/*"] if path else ["/*"]
    conditions.append({"Field": "path-pattern", "PathPatternConfig": {"Values": paths}})
    return conditions


def _values(conditions: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    configs = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}
    return {
        item["Field"]: list(item.get(configs[item["Field"]], {}).get("Values", ()))
        for item in conditions
    }


def _groups(actions: Sequence[dict[str, Any]]) -> list[str]:
    return [str(action.get("TargetGroupArn")) for action in actions]


def _forward(group: str) -> dict[str, Any]:
    return {"Type": "forward", "TargetGroupArn": group}


def _register_targets(elb: Any, group: str, addresses: Sequence[tuple[str, int]]) -> None:
    """Make the ready pods the targets of a group; the others drain."""
    ready = set(addresses)
    registered = {
        (item["Target"]["Id"], int(item["Target"]["Port"]))
        for item in elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        if item["TargetHealth"]["State"] != "draining"
    }
    for operation, targets in (
        (elb.register_targets, ready - registered),
        (elb.deregister_targets, registered - ready),
    ):
        if targets:
            documents = [{"Id": address, "Port": number} for address, number in sorted(targets)]
            operation(TargetGroupArn=group, Targets=documents)
