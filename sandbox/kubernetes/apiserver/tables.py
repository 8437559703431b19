"""Tables for `kubectl get`, with the columns of the API server's printers.

Over 400 lines: it is mostly one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column; a `wide` one is shown by `kubectl get -o wide` only."""

    name: str
    cell: Callable[[Mapping[str, Any]], Any]
    type: str = "string"
    wide: bool = False


Columns = list[Column]
_NAME = Column("Name", lambda o: o["metadata"]["name"])


def _dig(document: Any, *path: str, default: Any = "<none>") -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, Mapping) else None
    return default if document in (None, "", [], {}) else document


def age(document: Mapping[str, Any], moment: str = "", until: datetime | None = None) -> str:
    """Format an object's age, or the time since a moment, as kubectl does."""
    text = moment or document["metadata"].get("creationTimestamp")
    if not text:
        return "<unknown>"
    seconds = int(((until or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds())
    for size, unit, limit in ((1, "s", 120), (60, "m", 180 * 60), (3600, "h", 48 * 3600)):
        if seconds < limit:
            return f"{max(seconds, 0) // size}{unit}"
    return f"{seconds // 86400}d"


def _containers(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statuses: list[Mapping[str, Any]] = (document.get("status") or {}).get(
        "containerStatuses"
    ) or []
    return statuses


def _pod_ready(document: Mapping[str, Any]) -> str:
    ready = sum(1 for item in _containers(document) if item.get("ready"))
    return f"{ready}/{len(document['spec'].get('containers') or ())}"


def pod_status(document: Mapping[str, Any]) -> str:
    """Return the STATUS column of a pod."""
    if document["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for item in _containers(document):
        waiting = (item.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason"):
            return str(waiting["reason"])
    phase = _dig(document, "status", "phase", default="Pending")
    return "Completed" if phase == "Succeeded" else str(phase)


def _ports(document: Mapping[str, Any]) -> str:
    columns = []
    for port in document["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        columns.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(columns) or "<none>"


def _external(document: Mapping[str, Any]) -> str:
    entries = _dig(document, "status", "loadBalancer", "ingress", default=[])
    if entries:
        return ",".join(item.get("hostname") or item.get("ip", "") for item in entries)
    return "<pending>" if document["spec"].get("type") == "LoadBalancer" else "<none>"


def _replicas(document: Mapping[str, Any], part: str) -> int:
    return int(_dig(document, "status", part, default=0))


def _targets(document: Mapping[str, Any]) -> str:
    columns = []
    for metric in document["spec"].get("metrics") or ():
        target = (metric.get("resource") or {}).get("target") or {}
        target = (
            f"{target['averageUtilization']}%"
            if "averageUtilization" in target
            else target.get("averageValue", "?")
        )
        name = _dig(metric, "resource", "name")
        columns.append(f"{name}: {_current(document, name)}/{target}")
    return ", ".join(columns) or "<none>"


def _current(document: Mapping[str, Any], name: str) -> str:
    for metric in (document.get("status") or {}).get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == name:
            current = resource["current"]
            percent = current.get("averageUtilization")
            return f"{percent}%" if percent is not None else str(current["averageValue"])
    return "<unknown>"


def _node_status(document: Mapping[str, Any]) -> str:
    ready = any(
        c["type"] == "Ready" and c["status"] == "True"
        for c in document.get("status", {}).get("conditions") or ()
    )
    return ("Ready" if ready else "NotReady") + (
        ",SchedulingDisabled" if document["spec"].get("unschedulable") else ""
    )


def _hosts(document: Mapping[str, Any]) -> str:
    return ",".join(rule.get("host", "*") for rule in document["spec"].get("rules") or ()) or "*"


def _selector(document: Mapping[str, Any], *path: str) -> str:
    """Format a label selector, or a map of labels."""
    selector = _dig(document, *path, default={})
    parts = [f"{key}={value}" for key, value in _dig(selector, "matchLabels", default={}).items()]
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        parts = [f"{key}={value}" for key, value in selector.items()]
    words = {"In": "in", "NotIn": "notin"}
    for item in selector.get("matchExpressions") or ():
        values = ",".join(item.get("values") or ())
        if item["operator"] in words:
            parts.append(f"{item['key']} {words[item['operator']]} ({values})")
        else:
            parts.append(("!" if item["operator"] == "DoesNotExist" else "") + item["key"])
    return ",".join(parts) or "<none>"


def _of_template(part: str, *path: str) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that lists a field of the containers of a pod template."""

    def cell(document: Mapping[str, Any]) -> str:
        containers = _dig(document, "spec", *path, "template", "spec", "containers", default=[])
        return ",".join(str(item.get(part, "")) for item in containers)

    return cell


def _pods(*path: str, selector: Sequence[str] | None = ("spec", "selector")) -> Columns:
    columns: Columns = [
        Column("Containers", _of_template("name", *path), wide=True),
        Column("Images", _of_template("image", *path), wide=True),
    ]
    if selector is not None:
        columns.append(Column("Selector", lambda o: _selector(o, *selector), wide=True))
    return columns


def _ready_replicas(document: Mapping[str, Any]) -> str:
    total = _dig(document, "spec", "replicas", default=0)
    return f"{_replicas(document, 'readyReplicas')}/{total}"


def _job_status(document: Mapping[str, Any]) -> str:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((str(item["type"]) for item in conditions if item["status"] == "True"), "Running")


def _job_duration(document: Mapping[str, Any]) -> str:
    status = document.get("status") or {}
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    return age(document, status["startTime"], datetime.fromisoformat(end) if end else None)


def _quota(part: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(document: Mapping[str, Any]) -> str:
        status = document.get("status") or {}
        used = status.get("used") or {}
        return ", ".join(
            f"{name}: {used.get(name, 0)}/{value}"
            for name, value in sorted((status.get("hard") or {}).items())
            if name.startswith("limits.") == (part == "limits")
        )

    return cell


def _subjects(kind: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(document: Mapping[str, Any]) -> str:
        return ", ".join(
            f"{item.get('namespace', '')}/{item['name']}"
            if kind == "ServiceAccount"
            else item["name"]
            for item in document.get("subjects") or ()
            if item.get("kind") == kind
        )

    return cell


_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(document: Mapping[str, Any]) -> str:
    modes = _dig(document, "status", "accessModes", default=[])
    return ",".join(_MODES.get(mode, mode) for mode in modes)


def _ingress_address(document: Mapping[str, Any]) -> str:
    return "" if _external(document) == "<none>" else _external(document)


def _role(document: Mapping[str, Any]) -> str:
    return f"{document['roleRef']['kind']}/{document['roleRef']['name']}"


_AGE = Column("Age", age)
_CREATED = Column("Created At", lambda o: o["metadata"].get("creationTimestamp"), "date")
_BINDING: Columns = [
    Column("Role", _role),
    _AGE,
    Column("Users", _subjects("User"), wide=True),
    Column("Groups", _subjects("Group"), wide=True),
    Column("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
]
# The columns after the name, or all columns of an Event.
_COLUMNS: dict[str, Columns] = {
    "Pod": [
        Column("Ready", _pod_ready),
        Column("Status", pod_status),
        Column("Restarts", lambda o: str(sum(i.get("restartCount", 0) for i in _containers(o)))),
        _AGE,
        Column("IP", lambda o: _dig(o, "status", "podIP"), wide=True),
        Column("Node", lambda o: _dig(o, "spec", "nodeName"), wide=True),
        Column("Nominated Node", lambda o: _dig(o, "status", "nominatedNodeName"), wide=True),
        Column("Readiness Gates", lambda _: "<none>", wide=True),
    ],
    "Deployment": [
        Column("Ready", _ready_replicas),
        Column("Up-to-date", lambda o: _replicas(o, "updatedReplicas")),
        Column("Available", lambda o: _replicas(o, "availableReplicas")),
        _AGE,
        *_pods(),
    ],
    "StatefulSet": [Column("Ready", _ready_replicas), _AGE, *_pods(selector=None)],
    "ReplicaSet": [
        Column("Desired", lambda o: _dig(o, "spec", "replicas", default=0), "integer"),
        Column("Current", lambda o: _replicas(o, "replicas"), "integer"),
        Column("Ready", lambda o: _replicas(o, "readyReplicas"), "integer"),
        _AGE,
        *_pods(),
    ],
    "DaemonSet": [
        Column("Desired", lambda o: _replicas(o, "desiredNumberScheduled"), "integer"),
        Column("Current", lambda o: _replicas(o, "currentNumberScheduled"), "integer"),
        Column("Ready", lambda o: _replicas(o, "numberReady"), "integer"),
        Column("Up-to-date", lambda o: _replicas(o, "updatedNumberScheduled"), "integer"),
        Column("Available", lambda o: _replicas(o, "numberAvailable"), "integer"),
        Column("Node Selector", lambda o: _selector(o, "spec", "template", "spec", "nodeSelector")),
        _AGE,
        *_pods(),
    ],
    "Job": [
        Column("Status", _job_status),
        Column(
            "Completions",
            lambda o: f"{_replicas(o, 'succeeded')}/{_dig(o, 'spec', 'completions', default=1)}",
        ),
        Column("Duration", _job_duration),
        _AGE,
        *_pods(),
    ],
    "CronJob": [
        Column("Schedule", lambda o: o["spec"].get("schedule")),
        Column("Timezone", lambda o: _dig(o, "spec", "timeZone")),
        Column("Suspend", lambda o: str(o["spec"].get("suspend", False)), "boolean"),
        Column("Active", lambda o: len(_dig(o, "status", "active", default=[])), "integer"),
        Column(
            "Last Schedule",
            lambda o: age(o, o["status"]["lastScheduleTime"])
            if "lastScheduleTime" in (o.get("status") or {})
            else "<none>",
        ),
        _AGE,
        *_pods("jobTemplate", "spec", selector=("spec", "jobTemplate", "spec", "selector")),
    ],
    "Service": [
        Column("Type", lambda o: o["spec"].get("type")),
        Column("Cluster-IP", lambda o: _dig(o, "spec", "clusterIP")),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        _AGE,
        Column("Selector", lambda o: _selector(o, "spec", "selector"), wide=True),
    ],
    "Ingress": [
        Column("Class", lambda o: _dig(o, "spec", "ingressClassName")),
        Column("Hosts", _hosts),
        Column("Address", _ingress_address),
        Column("Ports", lambda o: "80, 443" if o["spec"].get("tls") else "80"),
        _AGE,
    ],
    "HorizontalPodAutoscaler": [
        Column(
            "Reference",
            lambda o: (
                f"{o['spec']['scaleTargetRef']['kind']}/{o['spec']['scaleTargetRef']['name']}"
            ),
        ),
        Column("Targets", _targets),
        Column("MinPods", lambda o: str(o["spec"].get("minReplicas", 1))),
        Column("MaxPods", lambda o: o["spec"]["maxReplicas"]),
        Column("Replicas", lambda o: _replicas(o, "currentReplicas")),
        _AGE,
    ],
    "PodDisruptionBudget": [
        Column("Min Available", lambda o: str(_dig(o, "spec", "minAvailable", default="N/A"))),
        Column("Max Unavailable", lambda o: str(_dig(o, "spec", "maxUnavailable", default="N/A"))),
        Column(
            "Allowed Disruptions", lambda o: _replicas(o, "disruptionsAllowed"), "integer"
        ),
        _AGE,
    ],
    "Namespace": [Column("Status", lambda o: _dig(o, "status", "phase", default="Active")), _AGE],
    "Node": [
        Column("Status", _node_status),
        Column("Roles", lambda _: "<none>"),
        _AGE,
        Column("Version", lambda o: _dig(o, "status", "nodeInfo", "kubeletVersion")),
    ],
    "ConfigMap": [
        Column("Data", lambda o: len(o.get("data") or {}) + len(o.get("binaryData") or {})), _AGE
    ],
    "Secret": [
        Column("Type", lambda o: o.get("type")),
        Column("Data", lambda o: len(o.get("data") or {})),
        _AGE,
    ],
    "NetworkPolicy": [
        Column("Pod-Selector", lambda o: _selector(o, "spec", "podSelector")), _AGE
    ],
    "PersistentVolumeClaim": [
        Column("Status", lambda o: _dig(o, "status", "phase", default="Pending")),
        Column("Volume", lambda o: _dig(o, "spec", "volumeName", default="")),
        Column("Capacity", lambda o: _dig(o, "status", "capacity", "storage", default="")),
        Column("Access Modes", _modes),
        Column("StorageClass", lambda o: _dig(o, "spec", "storageClassName", default="")),
        Column(
            "VolumeAttributesClass",
            lambda o: _dig(o, "spec", "volumeAttributesClassName", default="<unset>"),
        ),
        _AGE,
        Column("VolumeMode", lambda o: _dig(o, "spec", "volumeMode", default="<unset>"), wide=True),
    ],
    "ResourceQuota": [
        Column("Request", _quota("requests")), Column("Limit", _quota("limits")), _AGE
    ],
    "Role": [_CREATED],
    "ClusterRole": [_CREATED],
    "LimitRange": [_CREATED],
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "Event": [
        Column("Last Seen", lambda o: age(o, o.get("lastTimestamp", ""))),
        Column("Type", lambda o: o.get("type")),
        Column("Reason", lambda o: o.get("reason")),
        Column(
            "Object",
            lambda o: (
                f"{o['involvedObject'].get('kind', '').lower()}/"
                f"{o['involvedObject'].get('name', '')}"
            ),
        ),
        Column("Message", lambda o: o.get("message")),
    ],
}  # fmt: skip


_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def _shown_metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return metadata without the annotation that only versioned DaemonSets have."""
    annotations = metadata.get("annotations") or {}
    if _TEMPLATE_GENERATION not in annotations:
        return metadata
    rest = {key: value for key, value in annotations.items() if key != _TEMPLATE_GENERATION}
    shown = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**shown, **({"annotations": rest} if rest else {})}


def table(
    kind: str, objects: Iterable[Mapping[str, Any]], revision: str, *, full: bool = False
) -> dict[str, Any]:
    """Return objects as a `meta.k8s.io/v1` Table."""
    columns = _COLUMNS.get(kind, [_AGE])
    if kind != "Event":
        columns = [_NAME, *columns]
    rows = [
        {
            "cells": [column.cell(item) for column in columns],
            "object": dict(item)
            if full
            else {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": _shown_metadata(item["metadata"]),
            },
        }
        for item in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision},
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": column.name,
                "priority": int(column.wide),
            }
            for column in columns
        ],
        "rows": rows,
    }
