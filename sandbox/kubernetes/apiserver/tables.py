"""Tables for `kubectl get`, with the columns of the API server's printers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Columns = list[tuple[str, Callable[[Mapping[str, Any]], Any]]]


def _dig(document: Any, *path: str, default: Any = "<none>") -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, Mapping) else None
    return default if document in (None, "", [], {}) else document


def age(document: Mapping[str, Any], moment: str = "") -> str:
    """Format an object's age as kubectl does."""
    text = moment or document["metadata"].get("creationTimestamp")
    if not text:
        return "<unknown>"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())
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
        columns.append(f"{_dig(metric, 'resource', 'name')}: <unknown>/{target}")
    return ", ".join(columns) or "<none>"


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


_NAME: Columns = [("Name", lambda o: o["metadata"]["name"])]
_AGE: Columns = [("Age", age)]
_COLUMNS: dict[str, Columns] = {
    "Pod": [
        ("Ready", _pod_ready),
        ("Status", pod_status),
        ("Restarts", lambda o: sum(item.get("restartCount", 0) for item in _containers(o))),
    ],
    "Deployment": [
        (
            "Ready",
            lambda o: f"{_replicas(o, 'readyReplicas')}/{_dig(o, 'spec', 'replicas', default=0)}",
        ),
        ("Up-to-date", lambda o: _replicas(o, "updatedReplicas")),
        ("Available", lambda o: _replicas(o, "availableReplicas")),
    ],
    "StatefulSet": [
        (
            "Ready",
            lambda o: f"{_replicas(o, 'readyReplicas')}/{_dig(o, 'spec', 'replicas', default=0)}",
        )
    ],
    "ReplicaSet": [
        ("Desired", lambda o: _dig(o, "spec", "replicas", default=0)),
        ("Current", lambda o: _replicas(o, "replicas")),
        ("Ready", lambda o: _replicas(o, "readyReplicas")),
    ],
    "DaemonSet": [
        ("Desired", lambda o: _replicas(o, "desiredNumberScheduled")),
        ("Current", lambda o: _replicas(o, "currentNumberScheduled")),
        ("Ready", lambda o: _replicas(o, "numberReady")),
        ("Available", lambda o: _replicas(o, "numberAvailable")),
    ],
    "Job": [
        (
            "Status",
            lambda o: next(
                (
                    c["type"]
                    for c in o.get("status", {}).get("conditions") or ()
                    if c["status"] == "True"
                ),
                "Running",
            ),
        ),
        (
            "Completions",
            lambda o: f"{_replicas(o, 'succeeded')}/{_dig(o, 'spec', 'completions', default=1)}",
        ),
    ],
    "CronJob": [
        ("Schedule", lambda o: o["spec"].get("schedule")),
        ("Suspend", lambda o: o["spec"].get("suspend", False)),
    ],
    "Service": [
        ("Type", lambda o: o["spec"].get("type")),
        ("Cluster-IP", lambda o: _dig(o, "spec", "clusterIP")),
        ("External-IP", _external),
        ("Port(s)", _ports),
    ],
    "Ingress": [
        ("Class", lambda o: _dig(o, "spec", "ingressClassName")),
        ("Hosts", _hosts),
        ("Address", _external),
        ("Ports", lambda o: "80, 443" if o["spec"].get("tls") else "80"),
    ],
    "HorizontalPodAutoscaler": [
        (
            "Reference",
            lambda o: (
                f"{o['spec']['scaleTargetRef']['kind']}/{o['spec']['scaleTargetRef']['name']}"
            ),
        ),
        ("Targets", _targets),
        ("MinPods", lambda o: o["spec"].get("minReplicas", 1)),
        ("MaxPods", lambda o: o["spec"]["maxReplicas"]),
        ("Replicas", lambda o: _replicas(o, "currentReplicas")),
    ],
    "PodDisruptionBudget": [
        ("Min Available", lambda o: _dig(o, "spec", "minAvailable", default="N/A")),
        ("Max Unavailable", lambda o: _dig(o, "spec", "maxUnavailable", default="N/A")),
        ("Allowed Disruptions", lambda o: _replicas(o, "disruptionsAllowed")),
    ],
    "Namespace": [("Status", lambda o: _dig(o, "status", "phase", default="Active"))],
    "Node": [
        ("Status", _node_status),
        ("Roles", lambda _: "<none>"),
        ("Version", lambda o: _dig(o, "status", "nodeInfo", "kubeletVersion")),
    ],
    "ConfigMap": [("Data", lambda o: len(o.get("data") or {}) + len(o.get("binaryData") or {}))],
    "Secret": [("Type", lambda o: o.get("type")), ("Data", lambda o: len(o.get("data") or {}))],
    "ServiceAccount": [("Secrets", lambda o: len(o.get("secrets") or ()))],
    "NetworkPolicy": [
        (
            "Pod-Selector",
            lambda o: (
                ",".join(
                    f"{k}={v}"
                    for k, v in _dig(o, "spec", "podSelector", "matchLabels", default={}).items()
                )
                or "<none>"
            ),
        )
    ],
    "PersistentVolumeClaim": [
        ("Status", lambda o: _dig(o, "status", "phase", default="Pending")),
        ("Volume", lambda o: _dig(o, "spec", "volumeName", default="")),
        ("StorageClass", lambda o: _dig(o, "spec", "storageClassName", default="")),
    ],
    "Event": [
        ("Last Seen", lambda o: age(o, o.get("lastTimestamp", ""))),
        ("Type", lambda o: o.get("type")),
        ("Reason", lambda o: o.get("reason")),
        (
            "Object",
            lambda o: (
                f"{o['involvedObject'].get('kind', '').lower()}/"
                f"{o['involvedObject'].get('name', '')}"
            ),
        ),
        ("Message", lambda o: o.get("message")),
    ],
}


def table(
    kind: str, objects: Iterable[Mapping[str, Any]], revision: str, *, full: bool = False
) -> dict[str, Any]:
    """Return objects as a `meta.k8s.io/v1` Table."""
    middle = _COLUMNS.get(kind, [])
    columns = middle if kind == "Event" else [*_NAME, *middle, *_AGE]
    rows = [
        {
            "cells": [cell(item) for _, cell in columns],
            "object": dict(item)
            if full
            else {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": item["metadata"],
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
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": name,
                "priority": 0,
            }
            for name, _ in columns
        ],
        "rows": rows,
    }
