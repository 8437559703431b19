"""Valid objects, which cases send or change."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_conformance.case import Json


def _object(api_version: str, kind: str, name: str, **content: Any) -> Json:
    return {
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **content
    }  # fmt: skip


def pod_spec(**more: Any) -> Json:
    return {"containers": [{"name": "app", "image": "registry/app:1"}], **more}


def pod(name: str = "web", **spec: Any) -> Json:
    content = pod_spec(**{"automountServiceAccountToken": False, **spec})
    return _object("v1", "Pod", name, spec=content)


def _template(**spec: Any) -> Json:
    return {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(**spec)}


def _workload(kind: str, name: str, **spec: Any) -> Json:
    content = {"selector": {"matchLabels": {"app": "web"}}, "template": _template(), **spec}
    return _object("apps/v1", kind, name, spec=content)


def deployment(name: str = "web", **spec: Any) -> Json:
    return _workload("Deployment", name, **spec)


def replica_set(name: str = "web", **spec: Any) -> Json:
    return _workload("ReplicaSet", name, **spec)


def stateful_set(name: str = "web", **spec: Any) -> Json:
    return _workload("StatefulSet", name, **{"serviceName": "web", **spec})


def daemon_set(name: str = "web", **spec: Any) -> Json:
    return _workload("DaemonSet", name, **spec)


def job(name: str = "work", **spec: Any) -> Json:
    template = {"spec": pod_spec(restartPolicy="Never")}
    return _object("batch/v1", "Job", name, spec={"template": template, **spec})


def cron_job(name: str = "nightly", **spec: Any) -> Json:
    content = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job()["spec"]}, **spec}
    return _object("batch/v1", "CronJob", name, spec=content)


def service(name: str = "web", **spec: Any) -> Json:
    content = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return _object("v1", "Service", name, spec=content)


def ingress(name: str = "web", **spec: Any) -> Json:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": "web.example.com", "http": {"paths": paths}}]
    return _object("networking.k8s.io/v1", "Ingress", name, spec={"rules": rules, **spec})


def network_policy(name: str = "web", **spec: Any) -> Json:
    content = {"podSelector": {"matchLabels": {"app": "web"}}, **spec}
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, spec=content)


def autoscaler(name: str = "web", **spec: Any) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    content = {"scaleTargetRef": target, "maxReplicas": 3, **spec}
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", name, spec=content)


def budget(name: str = "web", **spec: Any) -> Json:
    content = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1, **spec}
    return _object("policy/v1", "PodDisruptionBudget", name, spec=content)


def config_map(name: str = "settings", **content: Any) -> Json:
    return _object("v1", "ConfigMap", name, **{"data": {"a": "1"}, **content})


def secret(name: str = "password", **content: Any) -> Json:
    return _object("v1", "Secret", name, **{"stringData": {"a": "1"}, **content})


def quota(name: str = "quota", **hard: Any) -> Json:
    return _object("v1", "ResourceQuota", name, spec={"hard": hard or {"configmaps": "2"}})


def limit_range(name: str = "limits", **limits: Any) -> Json:
    content = {"type": "Container", "default": {"cpu": "500m"}, **limits}
    return _object("v1", "LimitRange", name, spec={"limits": [content]})


def service_account(name: str = "robot", **content: Any) -> Json:
    return _object("v1", "ServiceAccount", name, **content)


def role(name: str = "reader", **content: Any) -> Json:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    return _object("rbac.authorization.k8s.io/v1", "Role", name, **{"rules": rules, **content})


def role_binding(name: str = "reader", **content: Any) -> Json:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subjects = [{"kind": "User", "name": "me"}]
    return _object(
        "rbac.authorization.k8s.io/v1", "RoleBinding", name,
        **{"roleRef": reference, "subjects": subjects, **content},
    )  # fmt: skip


def claim(name: str = "data", **spec: Any) -> Json:
    content = {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec
    }  # fmt: skip
    return _object("v1", "PersistentVolumeClaim", name, spec=content)


def namespace(name: str = "{ns}-other", **labels: str) -> Json:
    result = _object("v1", "Namespace", name)
    if labels:
        result["metadata"]["labels"] = labels
    return result


def priority_class(name: str = "{ns}-high", **content: Any) -> Json:
    return _object("scheduling.k8s.io/v1", "PriorityClass", name, **{"value": 1000, **content})


def storage_class(name: str = "{ns}-fast", **content: Any) -> Json:
    provisioner = {"provisioner": "ebs.csi.aws.com"}
    return _object("storage.k8s.io/v1", "StorageClass", name, **{**provisioner, **content})


def ingress_class(name: str = "{ns}-alb", **spec: Any) -> Json:
    content = {"controller": "eks.amazonaws.com/alb", **spec}
    return _object("networking.k8s.io/v1", "IngressClass", name, spec=content)


def custom_definition(group: str = "{ns}.example.com", **version: Any) -> Json:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"},
                },
                "required": ["size"],
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    served = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
        **version,
    }  # fmt: skip
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [served]}
    kind = "CustomResourceDefinition"
    return _object("apiextensions.k8s.io/v1", kind, f"widgets.{group}", spec=spec)
