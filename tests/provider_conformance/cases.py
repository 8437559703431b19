"""What is compared: checks, previews, differences, and awaited creations, updates and deletions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from tests.provider_conformance.session import Json, Observation, Session

Case = Callable[[Session], list[Observation]]

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
CRON_JOB = "kubernetes:batch/v1:CronJob"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"
JOB = "kubernetes:batch/v1:Job"
NAMESPACE = "kubernetes:core/v1:Namespace"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
POD = "kubernetes:core/v1:Pod"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
SCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"

_LABELS = {"app": "web"}
_CONTAINER = {"name": "app", "image": "registry/app:1", "ports": [{"containerPort": 80}]}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": {"containers": [_CONTAINER]}}
_RUNS = {"restartPolicy": "Never", "containers": [{"name": "task", "image": "registry/app:1"}]}
_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
_QUICK = {"annotations": {"pulumi.com/timeoutSeconds": "5"}}
_SKIP = {"annotations": {"pulumi.com/skipAwait": "true"}}

SPECS: dict[str, Json] = {
    CONFIG_MAP: {"data": {"a": "1"}},
    CRON_JOB: {
        "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": {"spec": _RUNS}}}}
    },
    DAEMON_SET: {"spec": {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}},
    DEPLOYMENT: {
        "spec": {"replicas": 2, "selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}
    },
    INGRESS: {
        "spec": {
            "rules": [
                {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": _BACKEND}]}}
            ]
        }
    },
    JOB: {"spec": {"template": {"spec": _RUNS}}},
    NETWORK_POLICY: {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}},
    CLAIM: {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "gp3",
        }
    },
    POD: {"spec": {"containers": [_CONTAINER]}},
    BUDGET: {"spec": {"minAvailable": 1, "selector": {"matchLabels": _LABELS}}},
    ROLE: {"rules": _RULES},
    BINDING: {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"},
        "subjects": [{"kind": "ServiceAccount", "name": "web"}],
    },
    SCALER: {
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        }
    },
    SECRET: {"stringData": {"password": "hunter2"}, "type": "Opaque"},
    SERVICE: {"spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]}},
    ACCOUNT: {},
    STATEFUL_SET: {
        "spec": {
            "serviceName": "web",
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": _TEMPLATE,
        }
    },
}
# Kinds whose objects exist at once, without pods or nodes.
_PASSIVE = (
    CONFIG_MAP,
    CRON_JOB,
    NETWORK_POLICY,
    BUDGET,
    ROLE,
    BINDING,
    SCALER,
    SECRET,
    SERVICE,
    ACCOUNT,
)


def _set(value: Json, path: str, new: Any) -> Json:
    """Return a copy with a value at a dotted path; None removes it."""
    result = copy.deepcopy(value)
    *parents, last = path.split(".")
    target: Any = result
    for name in parents:
        target = target[int(name)] if isinstance(target, list) else target.setdefault(name, {})
    if new is None:
        target.pop(last, None)
    elif isinstance(target, list):
        target[int(last)] = new
    else:
        target[last] = new
    return result


def _lifecycle(kind: str, metadata: Json | None = None) -> Case:
    def run(session: Session) -> list[Observation]:
        inputs = session.object(metadata=metadata, **SPECS[kind])
        created, made = session.create(kind, inputs)
        if made is None:
            return [created]
        unchanged = session.diff(made, inputs)
        read, result = session.read(made)
        again = session.diff(result, inputs) if result is not None else {}
        imported = session.import_(kind, "web")
        deleted = session.delete(made)
        gone, _ = session.read(made)
        return [created, unchanged, read, again, imported, deleted, gone, session.delete(made)]

    return run


def _change(kind: str, changes: Mapping[str, Any], *, passive: bool = False) -> Case:
    """Compare a changed object, and update it where that replaces nothing."""

    def run(session: Session) -> list[Observation]:
        inputs = session.object(metadata=_SKIP, **SPECS[kind])
        created, made = session.create(kind, inputs)
        if made is None:
            return [created]
        news = inputs
        for path, value in changes.items():
            news = _set(news, path, value)
        difference = session.diff(made, news)
        if difference.get("replaces") or not passive:
            return [difference]
        return [difference, session.update(made, news)[0]]

    return run


def _checked(kind: str, changes: Mapping[str, Any]) -> Case:
    def run(session: Session) -> list[Observation]:
        inputs = session.object(**SPECS[kind])
        for path, value in changes.items():
            inputs = _set(inputs, path, value)
        return [session.check(kind, inputs), session.preview(kind, inputs)]

    return run


def _existing(session: Session) -> list[Observation]:
    inputs = session.object(**SPECS[CONFIG_MAP])
    return [session.create(CONFIG_MAP, inputs)[0] for _ in range(2)]


def _deployment_without_readiness(session: Session) -> list[Observation]:
    spec = _set(SPECS[DEPLOYMENT], "spec.template.spec.nodeSelector", {"disk": "none"})
    return [session.create(DEPLOYMENT, session.object(metadata=_QUICK, **spec))[0]]


def _skipped(session: Session) -> list[Observation]:
    spec = _set(SPECS[DEPLOYMENT], "spec.template.spec.nodeSelector", {"disk": "none"})
    return [session.create(DEPLOYMENT, session.object(metadata=_SKIP, **spec))[0]]


def _scaled_to_zero(session: Session) -> list[Observation]:
    spec = _set(SPECS[DEPLOYMENT], "spec.replicas", 0)
    return [session.create(DEPLOYMENT, session.object(**spec))[0]]


def _service(changes: Mapping[str, Any]) -> Case:
    def run(session: Session) -> list[Observation]:
        inputs = session.object(metadata=_QUICK, **SPECS[SERVICE])
        for path, value in changes.items():
            inputs = _set(inputs, path, value)
        return [session.create(SERVICE, inputs)[0]]

    return run


def _service_with_pods(session: Session) -> list[Observation]:
    deployment, _ = session.create(DEPLOYMENT, session.object(**SPECS[DEPLOYMENT]))
    spec = _set(SPECS[SERVICE], "spec.selector", _LABELS)
    return [deployment, session.create(SERVICE, session.object(metadata=_QUICK, **spec))[0]]


def _ingress_without_service(session: Session) -> list[Observation]:
    return [session.create(INGRESS, session.object(metadata=_QUICK, **SPECS[INGRESS]))[0]]


def _ignored(session: Session) -> list[Observation]:
    inputs = session.object(**SPECS[DEPLOYMENT])
    created, made = session.create(DEPLOYMENT, inputs)
    if made is None:
        return [created]
    news = _set(inputs, "spec.template.spec.containers.0.image", "registry/app:2")
    ignore = ["spec.template.spec.containers[0].image"]
    return [session.diff(made, news, ignore), session.update(made, news, ignore)[0]]


def _vanished(session: Session) -> list[Observation]:
    inputs = session.object(**SPECS[CONFIG_MAP])
    _, created = session.create(CONFIG_MAP, inputs)
    if created is None:
        return [{"failed": True}]
    session.delete(created)
    update, _ = session.update(created, _set(inputs, "metadata.labels", {"a": "b"}))
    return [update, session.import_(CONFIG_MAP, "web")]


_POD_SPEC = "spec.template.spec"
_CHECKS: dict[str, tuple[str, dict[str, Any]]] = {
    "name": (CONFIG_MAP, {"metadata.name": None}),
    "name of a deployment": (DEPLOYMENT, {"metadata.name": None}),
    "generated name": (CONFIG_MAP, {"metadata.name": None, "metadata.generateName": "web-"}),
    "no metadata": (CONFIG_MAP, {"metadata": None}),
    "default namespace": (CONFIG_MAP, {"metadata.namespace": None}),
    "unknown field": (DEPLOYMENT, {"spec.replica": 1}),
    "unknown nested field": (DEPLOYMENT, {f"{_POD_SPEC}.contianers": []}),
    "wrong type": (DEPLOYMENT, {"spec.replicas": "many"}),
    "number as text": (CONFIG_MAP, {"data.a": 1}),
    "missing selector": (DEPLOYMENT, {"spec.selector": None}),
    "missing template": (DEPLOYMENT, {"spec.template": None}),
    "no containers": (DEPLOYMENT, {f"{_POD_SPEC}.containers": []}),
    "selector of other labels": (DEPLOYMENT, {"spec.selector.matchLabels": {"app": "x"}}),
    "invalid name": (CONFIG_MAP, {"metadata.name": "Not_Valid"}),
    "kind": (CONFIG_MAP, {"kind": "ConfigMap", "apiVersion": "v1"}),
    "status": (DEPLOYMENT, {"status.replicas": 1}),
}
_CHANGED: dict[str, tuple[str, dict[str, Any]]] = {
    "config map data": (CONFIG_MAP, {"data.a": "2"}),
    "config map new key": (CONFIG_MAP, {"data.b": "2"}),
    "config map binary data": (CONFIG_MAP, {"binaryData": {"x": "AA=="}}),
    "config map immutable": (CONFIG_MAP, {"immutable": True}),
    "labels": (CONFIG_MAP, {"metadata.labels": {"a": "b"}}),
    "annotation": (CONFIG_MAP, {"metadata.annotations.note": "x"}),
    "name": (CONFIG_MAP, {"metadata.name": "other"}),
    "namespace": (CONFIG_MAP, {"metadata.namespace": "default"}),
    "secret value": (SECRET, {"stringData.password": "hunter3"}),
    "secret type": (SECRET, {"type": "example.com/other"}),
    "deployment image": (DEPLOYMENT, {f"{_POD_SPEC}.containers.0.image": "registry/app:2"}),
    "deployment replicas": (DEPLOYMENT, {"spec.replicas": 3}),
    "deployment without replicas": (DEPLOYMENT, {"spec.replicas": None}),
    "deployment selector": (
        DEPLOYMENT,
        {
            "spec.selector.matchLabels": {"app": "x"},
            "spec.template.metadata.labels": {"app": "x"},
        },
    ),
    "deployment strategy": (DEPLOYMENT, {"spec.strategy": {"type": "Recreate"}}),
    "deployment second container": (
        DEPLOYMENT,
        {f"{_POD_SPEC}.containers": [_CONTAINER, {"name": "side", "image": "registry/side:1"}]},
    ),
    "daemon set image": (DAEMON_SET, {f"{_POD_SPEC}.containers.0.image": "registry/app:2"}),
    "daemon set selector": (
        DAEMON_SET,
        {
            "spec.selector.matchLabels": {"app": "x"},
            "spec.template.metadata.labels": {"app": "x"},
        },
    ),
    "stateful set image": (STATEFUL_SET, {f"{_POD_SPEC}.containers.0.image": "registry/app:2"}),
    "stateful set replicas": (STATEFUL_SET, {"spec.replicas": 2}),
    "stateful set service": (STATEFUL_SET, {"spec.serviceName": "other"}),
    "stateful set pod management": (STATEFUL_SET, {"spec.podManagementPolicy": "Parallel"}),
    "job template": (JOB, {f"{_POD_SPEC}.containers.0.image": "registry/app:2"}),
    "job parallelism": (JOB, {"spec.parallelism": 2}),
    "job completions": (JOB, {"spec.completions": 2}),
    "job limit": (JOB, {"spec.backoffLimit": 1}),
    "cron job schedule": (CRON_JOB, {"spec.schedule": "5 * * * *"}),
    "pod image": (POD, {"spec.containers.0.image": "registry/app:2"}),
    "pod command": (POD, {"spec.containers.0.command": ["sleep"]}),
    "pod node": (POD, {"spec.nodeSelector": {"a": "b"}}),
    "service port": (SERVICE, {"spec.ports.0.port": 81}),
    "service selector": (SERVICE, {"spec.selector.app": "other"}),
    "service type": (SERVICE, {"spec.type": "NodePort"}),
    "service address": (SERVICE, {"spec.clusterIP": "None"}),
    "service external name": (
        SERVICE,
        {"spec": {"type": "ExternalName", "externalName": "example.com"}},
    ),
    "claim size": (CLAIM, {"spec.resources.requests.storage": "2Gi"}),
    "claim class": (CLAIM, {"spec.storageClassName": "io2"}),
    "claim modes": (CLAIM, {"spec.accessModes": ["ReadWriteMany"]}),
    "ingress path": (INGRESS, {"spec.rules.0.http.paths.0.path": "/x"}),
    "ingress class": (INGRESS, {"spec.ingressClassName": "alb"}),
    "network policy": (NETWORK_POLICY, {"spec.policyTypes": ["Ingress", "Egress"]}),
    "budget": (BUDGET, {"spec.minAvailable": 2}),
    "budget selector": (BUDGET, {"spec.selector.matchLabels": {"app": "x"}}),
    "role rules": (ROLE, {"rules": []}),
    "binding role": (BINDING, {"roleRef.name": "other"}),
    "binding subjects": (BINDING, {"subjects": []}),
    "scaler": (SCALER, {"spec.maxReplicas": 5}),
    "scaler target": (SCALER, {"spec.scaleTargetRef.name": "other"}),
    "service account": (ACCOUNT, {"automountServiceAccountToken": False}),
}


def _title(kind: str) -> str:
    return kind.rpartition(":")[2]


CASES: dict[str, Case] = {
    **{f"check: {name}": _checked(*case) for name, case in _CHECKS.items()},
    **{
        f"lifecycle: {_title(kind)}": _lifecycle(kind)
        for kind in SPECS
        if kind not in (CLAIM, INGRESS)
    },
    "lifecycle: PersistentVolumeClaim": _lifecycle(CLAIM, _SKIP),
    "lifecycle: Ingress": _lifecycle(INGRESS, _SKIP),
    **{
        f"change: {name}": _change(kind, changes, passive=kind in _PASSIVE)
        for name, (kind, changes) in _CHANGED.items()
    },
    "create: existing object": _existing,
    "await: deployment without a node": _deployment_without_readiness,
    "await: skipped": _skipped,
    "await: no replicas": _scaled_to_zero,
    "await: service with ready pods": _service_with_pods,
    "await: headless service": _service({"spec.clusterIP": "None"}),
    "await: service without selector": _service({"spec.selector": None}),
    "await: external name": _service(
        {"spec": {"type": "ExternalName", "externalName": "example.com"}}
    ),
    "await: ingress without service": _ingress_without_service,
    "update: ignored image": _ignored,
    "update: deleted object": _vanished,
}
