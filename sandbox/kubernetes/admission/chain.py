"""Admission of an object by its namespace, quota, limits and pod security level."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.admission import pod_security, resource_quota
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import WITH_POD_TEMPLATE, Kind
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Json

_WITH_POD_TEMPLATE = WITH_POD_TEMPLATE | {"Job"}


def check_namespace(state: ClusterState, kind: Kind, namespace: str, name: str) -> None:
    """Refuse an object whose namespace does not exist or is terminating."""
    if not kind.namespaced:
        return
    owner = state.namespace(namespace)
    if owner is None:
        raise errors.ApiError(
            404,
            "NotFound",
            f'namespaces "{namespace}" not found',
            {"name": namespace, "kind": "namespaces"},
        )
    if owner["metadata"].get("deletionTimestamp"):
        refusal = errors.forbidden(
            kind,
            name,
            f"unable to create new content in namespace {namespace} because it is being terminated",
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


def mutate(state: ClusterState, kind: Kind, new: Json) -> None:
    """Complete a new pod as the LimitRanger, ServiceAccount and Priority plugins do."""
    if kind.kind != "Pod":
        return
    spec, namespace = new["spec"], new["metadata"]["namespace"]
    spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    changes = resource_quota.apply_limit_ranges(state.list_objects("limitranges", namespace), spec)
    if changes:
        annotations = new["metadata"].setdefault("annotations", {})
        annotations["kubernetes.io/limit-ranger"] = f"LimitRanger plugin set: {'; '.join(changes)}"
    priority_class = spec.get("priorityClassName")
    if priority_class:
        priority = state.get_object("priorityclasses.scheduling.k8s.io", priority_class)
        if priority is None:
            raise errors.forbidden(
                kind,
                new["metadata"]["name"],
                f"no PriorityClass with name {priority_class} was found",
            )
        spec["priority"] = priority["value"]
    else:
        spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") == key for item in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )


def validate(
    state: ClusterState, kind: Kind, new: Json, live: Mapping[str, Any] | None, warnings: list[str]
) -> None:
    """Refuse what the namespace forbids; warn about templates whose pods would be refused."""
    if kind.kind == "Namespace":
        _check_levels(kind, new)
    elif kind.kind == "Secret" and new.get("type") == "kubernetes.io/tls":
        certificate = b64decode((new.get("data") or {}).get("tls.crt", ""))
        if b"-----BEGIN" not in certificate:
            warnings.append("tls: failed to find any PEM data in certificate input")
    elif kind.kind == "NetworkPolicy" and (live is None or live["spec"] != new["spec"]):
        name = f"{new['metadata']['namespace']}/{new['metadata']['name']}"
        warnings.append(
            f"the sandbox does not enforce NetworkPolicy {name}: its pods accept every connection "
            "from this machine. Test it in a real cluster (`--kubernetes kubeconfig:PATH`)."
        )
    if not kind.namespaced:
        return
    namespace = state.namespace(new["metadata"]["namespace"])
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    if kind.kind == "Pod" and (live is None or live["spec"] != new["spec"]):
        _pod(state, kind, new, live, labels, warnings)
    elif kind.kind in _WITH_POD_TEMPLATE or kind.kind == "CronJob":
        template = (
            new["spec"]["jobTemplate"]["spec"]["template"]
            if kind.kind == "CronJob"
            else new["spec"]["template"]
        )
        level = labels.get("pod-security.kubernetes.io/warn") or labels.get(
            "pod-security.kubernetes.io/enforce", ""
        )
        old = None if live is None else live["spec"]
        if old != new["spec"]:
            problems = pod_security.violations(level, template.get("spec") or {})
            if problems:
                warnings.append(
                    f'would violate PodSecurity "{level}:latest": {", ".join(problems)}'
                )
    if live is None and kind.kind != "ResourceQuota":
        resource_quota.admit(
            state.list_objects("resourcequotas", new["metadata"]["namespace"]),
            state.store,
            kind,
            new,
        )


def _pod(
    state: ClusterState,
    kind: Kind,
    new: Json,
    live: Mapping[str, Any] | None,
    labels: Mapping[str, str],
    warnings: list[str],
) -> None:
    name, namespace = new["metadata"]["name"], new["metadata"]["namespace"]
    account = new["spec"]["serviceAccountName"]
    if live is None and state.get_object("serviceaccounts", account, namespace) is None:
        raise errors.forbidden(
            kind,
            name,
            f"error looking up service account {namespace}/{account}: serviceaccount "
            f'"{account}" not found',
        )
    if live is None:
        resource_quota.check_limit_ranges(state.list_objects("limitranges", namespace), kind, new)
    for mode in ("enforce", "warn"):
        level = labels.get(f"pod-security.kubernetes.io/{mode}", "")
        version = labels.get(f"pod-security.kubernetes.io/{mode}-version", "latest")
        problems = pod_security.violations(level, new["spec"])
        if problems and mode == "enforce":
            raise errors.forbidden(
                kind, name, f'violates PodSecurity "{level}:{version}": {", ".join(problems)}'
            )
        if problems:
            warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(problems)}')


def _check_levels(kind: Kind, namespace: Json) -> None:
    """Refuse labels with an unknown Pod Security level."""
    labels, causes = namespace["metadata"].get("labels") or {}, []
    for mode in ("enforce", "audit", "warn"):
        key = f"pod-security.kubernetes.io/{mode}"
        if key in labels and labels[key] not in {"privileged", "baseline", "restricted"}:
            text = "must be one of privileged, baseline, restricted"
            causes.append(errors.invalid_value(f"metadata.labels[{key}]", labels[key], text))
    if causes:
        raise errors.invalid(kind, namespace["metadata"]["name"], causes)
