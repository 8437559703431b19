"""ResourceQuota and LimitRange: usage, defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.quantities import parse, render
from sandbox.kubernetes.storage.object_store import Json, ObjectStore

_COMPUTE = {"cpu": "requests.cpu", "memory": "requests.memory"}
_OBJECTS = {
    "pods": "pods",
    "services": "services",
    "secrets": "secrets",
    "configmaps": "configmaps",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
}


def pod_total(spec: Mapping[str, Any], part: str, name: str) -> Decimal:
    """Sum a pod's `requests` or `limits` of a resource; init containers count by their maximum."""
    total = sum((_amount(c, part, name) for c in spec.get("containers") or ()), Decimal(0))
    initial = max(
        (_amount(c, part, name) for c in spec.get("initContainers") or ()), default=Decimal(0)
    )
    return max(total, initial)


def _amount(container: Mapping[str, Any], part: str, name: str) -> Decimal:
    value = ((container.get("resources") or {}).get(part) or {}).get(name)
    return parse(value) if value is not None else Decimal(0)


def _usage(
    kind: str, group: str, plural: str, document: Mapping[str, Any], resource: str
) -> Decimal:
    """Return one object's usage of a quota's resource."""
    if resource.startswith("count/"):
        counted = resource.removeprefix("count/")
        return Decimal(counted == (f"{plural}.{group}" if group else plural))
    if not group and _OBJECTS.get(resource) == plural:
        return Decimal(0 if kind == "Pod" and _finished(document) else 1)
    if kind == "Pod" and not _finished(document):
        part, _, name = _COMPUTE.get(resource, resource).partition(".")
        return (
            pod_total(document["spec"], part, name)
            if part in {"requests", "limits"}
            else Decimal(0)
        )
    if kind == "PersistentVolumeClaim" and resource == "requests.storage":
        return parse(document["spec"].get("resources", {}).get("requests", {}).get("storage", 0))
    if kind == "Service" and resource in {"services.loadbalancers", "services.nodeports"}:
        types = (
            {"LoadBalancer"}
            if resource == "services.loadbalancers"
            else {"LoadBalancer", "NodePort"}
        )
        return Decimal(document["spec"].get("type") in types)
    return Decimal(0)


def _finished(document: Mapping[str, Any]) -> bool:
    return (document.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def used(store: ObjectStore, namespace: str, resource: str) -> Decimal:
    """Return a namespace's usage of a quota's resource."""
    total = Decimal(0)
    for key in store.list_keys():
        if key.namespace == namespace:
            document = store.get(key)
            if document is not None:
                plural, _, group = key.resource.partition(".")
                total += _usage(document["kind"], group, plural, document, resource)
    return total


def admit(quotas: Sequence[Json], store: ObjectStore, kind: Kind, new: Json) -> None:
    """Refuse an object that exceeds a quota of its namespace or omits a resource that it counts."""
    for item in quotas:
        hard: Mapping[str, Any] = item["spec"].get("hard") or {}
        requested = {name: _usage(kind.kind, kind.group, kind.plural, new, name) for name in hard}
        name = item["metadata"]["name"]
        if kind.kind == "Pod":
            _must_specify(kind, new, name, hard)
        relevant = {resource: amount for resource, amount in requested.items() if amount > 0}
        current = {
            resource: used(store, new["metadata"]["namespace"], resource) for resource in relevant
        }
        over = [
            resource
            for resource in sorted(relevant)
            if current[resource] + relevant[resource] > parse(hard[resource])
        ]
        if over:
            parts = (
                f"requested: {','.join(f'{r}={render(relevant[r], r)}' for r in over)}, "
                f"used: {','.join(f'{r}={render(current[r], r)}' for r in over)}, "
                f"limited: {','.join(f'{r}={hard[r]}' for r in over)}"
            )
            raise errors.forbidden(
                kind, new["metadata"]["name"], f"exceeded quota: {name}, {parts}"
            )


def _must_specify(kind: Kind, new: Json, name: str, hard: Mapping[str, Any]) -> None:
    missing: dict[str, list[str]] = {}
    for resource in hard:
        part, _, what = _COMPUTE.get(resource, resource).partition(".")
        if part in {"requests", "limits"} and what in {"cpu", "memory"}:
            without = [
                c["name"]
                for c in new["spec"]["containers"]
                if what not in ((c.get("resources") or {}).get(part) or {})
            ]
            if without:
                missing[resource] = without
    if missing:
        listed = "; ".join(
            f"{resource} for: {','.join(names)}" for resource, names in sorted(missing.items())
        )
        raise errors.forbidden(
            kind, new["metadata"]["name"], f"failed quota: {name}: must specify {listed}"
        )


def apply_limit_ranges(ranges: Sequence[Json], spec: Json) -> list[str]:
    """Set the namespace's default requests and limits in containers; return what was set."""
    changes = []
    for item in ranges:
        for limit in item["spec"].get("limits") or ():
            if limit.get("type") != "Container":
                continue
            for part, title in (("initContainers", "init container"), ("containers", "container")):
                for container in spec.get(part) or ():
                    for kind, source in (("requests", "defaultRequest"), ("limits", "default")):
                        names = _set_resources(container, kind, limit.get(source) or {})
                        if names:
                            changes.append(
                                f"{', '.join(names)} {kind[:-1]} for {title} {container['name']}"
                            )
    return changes


def _set_resources(container: Json, part: str, values: Mapping[str, Any]) -> list[str]:
    resources = container.setdefault("resources", {})
    missing = [name for name in sorted(values) if name not in (resources.get(part) or {})]
    for name in missing:
        resources.setdefault(part, {})[name] = values[name]
    return missing


def check_limit_ranges(ranges: Sequence[Json], kind: Kind, pod: Json) -> None:
    """Refuse a pod outside its namespace's minimum and maximum."""
    problems = []
    for item in ranges:
        for limit in item["spec"].get("limits") or ():
            if limit.get("type") == "Container":
                targets = [(c, "Container") for c in pod["spec"]["containers"]]
            elif limit.get("type") == "Pod":
                totals = {"resources": {p: _totals(pod, p) for p in ("requests", "limits")}}
                targets = [(totals, "Pod")]
            else:
                continue
            for target, subject in targets:
                problems += _outside(limit, target, subject)
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise errors.forbidden(kind, pod["metadata"]["name"], text)


def _totals(pod: Json, part: str) -> Json:
    names = {
        n for c in pod["spec"]["containers"] for n in ((c.get("resources") or {}).get(part) or {})
    }
    return {name: str(pod_total(pod["spec"], part, name)) for name in names}


def _outside(limit: Mapping[str, Any], target: Mapping[str, Any], subject: str) -> list[str]:
    problems = []
    resources = target.get("resources") or {}
    for name, bound in (limit.get("max") or {}).items():
        value = (resources.get("limits") or {}).get(name)
        if value is None:
            problems.append(
                f"maximum {name} usage per {subject} is {bound}.  No limit is specified"
            )
        elif parse(value) > parse(bound):
            problems.append(f"maximum {name} usage per {subject} is {bound}, but limit is {value}")
    for name, bound in (limit.get("min") or {}).items():
        value = (resources.get("requests") or {}).get(name)
        if value is None:
            problems.append(
                f"minimum {name} usage per {subject} is {bound}.  No request is specified"
            )
        elif parse(value) < parse(bound):
            problems.append(
                f"minimum {name} usage per {subject} is {bound}, but request is {value}"
            )
    for name, bound in (limit.get("maxLimitRequestRatio") or {}).items():
        highest = (resources.get("limits") or {}).get(name)
        request = (resources.get("requests") or {}).get(name)
        if highest is None or request is None or parse(request) == 0:
            continue
        ratio = parse(highest) / parse(request)
        if ratio > parse(bound):
            problems.append(
                f"{name} max limit to request ratio per {subject} is {bound}, but provided ratio "
                f"is {ratio:.6f}"
            )
    return problems
