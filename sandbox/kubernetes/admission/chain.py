"""Admission: what a namespace, its quota, its limits and its pod security level make of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.admission import pod_security, resource_quota
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.storage.object_store import Json, Key, Store

_TEMPLATED = {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"}


class Context:
    """What defaults, admission and rules may ask about the cluster around an object."""

    def __init__(self, store: Store, service_cidr: str) -> None:
        self.store, self.service_cidr = store, service_cidr

    def namespace(self, name: str) -> Json | None:
        """Return a namespace, or None."""
        return self.store.get(Key("namespaces", "", name))

    def named(self, resource: str, name: str, namespace: str = "") -> Json | None:
        """Return an object by its qualified plural."""
        return self.store.get(Key(resource, namespace, name))

    def listed(self, resource: str, namespace: str = "") -> list[Json]:
        """Return the objects of a type."""
        return self.store.listed(resource, namespace)

    def cluster_ips(self) -> set[str]:
        """Return the service addresses in use."""
        return {str(item["spec"].get("clusterIP")) for item in self.store.listed("services")}

    def node_ports(self) -> set[int]:
        """Return the node ports in use."""
        return {
            port["nodePort"]
            for item in self.store.listed("services")
            for port in item["spec"].get("ports") or ()
            if port.get("nodePort")
        }

    def default_storage_class(self, claim: Json) -> None:
        """Give a claim that names no storage class the default one, if there is one."""
        if "storageClassName" in claim:
            return
        for item in self.store.listed("storageclasses.storage.k8s.io"):
            if (item["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true":
                claim["storageClassName"] = item["metadata"]["name"]


def namespace_accepts(context: Context, kind: Kind, namespace: str, name: str) -> None:
    """Refuse an object whose namespace doesn't exist or is going away."""
    if not kind.namespaced:
        return
    found = context.namespace(namespace)
    if found is None:
        raise errors.ApiError(
            404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"}
        )
    if found["metadata"].get("deletionTimestamp"):
        refusal = errors.forbidden(
            kind, name, f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        refusal.details = {
            **(refusal.details or {}),
            "causes": [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ],
        }
        raise refusal


def mutate(context: Context, kind: Kind, new: Json) -> None:
    """Complete a new pod as the LimitRanger, ServiceAccount and Priority plugins do."""
    if kind.kind != "Pod":
        return
    spec, namespace = new["spec"], new["metadata"]["namespace"]
    spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    resource_quota.apply_limit_ranges(context.listed("limitranges", namespace), spec)
    wanted = spec.get("priorityClassName")
    if wanted:
        found = context.named("priorityclasses.scheduling.k8s.io", wanted)
        if found is None:
            raise errors.forbidden(kind, new["metadata"]["name"], f"no PriorityClass with name {wanted} was found")
        spec["priority"] = found["value"]
    else:
        spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") == key for item in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def validate(context: Context, kind: Kind, new: Json, live: Mapping[str, Any] | None, warnings: list[str]) -> None:
    """Refuse what the namespace's rules forbid; collect warnings for templates that will be refused later."""
    if not kind.namespaced:
        return
    namespace = context.namespace(new["metadata"]["namespace"])
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    if kind.kind == "Pod" and (live is None or live["spec"] != new["spec"]):
        _pod(context, kind, new, live, labels, warnings)
    elif kind.kind in _TEMPLATED or kind.kind == "CronJob":
        template = new["spec"]["jobTemplate"]["spec"]["template"] if kind.kind == "CronJob" else new["spec"]["template"]
        level = labels.get("pod-security.kubernetes.io/warn") or labels.get("pod-security.kubernetes.io/enforce", "")
        old = None if live is None else live["spec"]
        if old != new["spec"]:
            problems = pod_security.check(level, template.get("spec") or {})
            if problems:
                warnings.append(f'would violate PodSecurity "{level}:latest": {", ".join(problems)}')
    if live is None and kind.kind != "ResourceQuota":
        resource_quota.admit(context.listed("resourcequotas", new["metadata"]["namespace"]), context.store, kind, new)


def _pod(
    context: Context,
    kind: Kind,
    new: Json,
    live: Mapping[str, Any] | None,
    labels: Mapping[str, str],
    warnings: list[str],
) -> None:
    name, namespace = new["metadata"]["name"], new["metadata"]["namespace"]
    account = new["spec"]["serviceAccountName"]
    if live is None and context.named("serviceaccounts", account, namespace) is None:
        raise errors.forbidden(
            kind, name, f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        )
    if live is None:
        resource_quota.check_limit_ranges(context.listed("limitranges", namespace), kind, new)
    for mode in ("enforce", "warn"):
        level = labels.get(f"pod-security.kubernetes.io/{mode}", "")
        version = labels.get(f"pod-security.kubernetes.io/{mode}-version", "latest")
        problems = pod_security.check(level, new["spec"])
        if problems and mode == "enforce":
            raise errors.forbidden(kind, name, f'violates PodSecurity "{level}:{version}": {", ".join(problems)}')
        if problems:
            warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(problems)}')
