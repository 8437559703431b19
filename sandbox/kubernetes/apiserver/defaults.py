"""Default values per kind, and allocation of cluster IPs and node ports."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import WITH_POD_TEMPLATE, Kind
from sandbox.kubernetes.apiserver.pod_defaults import set_missing, set_pod_defaults
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Json

# Kinds whose objects have a generation, besides custom resources.
WITH_GENERATION = frozenset(
    {
        "CustomResourceDefinition",
        "IngressClass",
        "PriorityClass",
        "Pod",
        "PodDisruptionBudget",
        "Deployment",
        "DaemonSet",
        "StatefulSet",
        "ReplicaSet",
        "Job",
        "CronJob",
        "Ingress",
        "NetworkPolicy",
    }
)
_EXTERNAL = {"NodePort", "LoadBalancer"}
_NODE_PORTS = range(30000, 32768)
# The status of a new object before a controller runs: fields without "omitempty". Clients rely on
# them.
_INITIAL_STATUS: dict[str, Json] = {
    "DaemonSet": {
        "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0,
        "numberReady": 0,
    },
    "Deployment": {},
    "HorizontalPodAutoscaler": {"currentMetrics": None, "desiredReplicas": 0},
    "Ingress": {"loadBalancer": {}},
    "Job": {},
    "CronJob": {},
    "Namespace": {"phase": "Active"},
    "Node": {},
    "PersistentVolume": {"phase": "Pending"},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "Pod": {"phase": "Pending"},
    "PodDisruptionBudget": {
        "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
    },
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "ResourceQuota": {},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"availableReplicas": 0, "replicas": 0},
}  # fmt: skip


def initial_status(kind: Kind) -> Json | None:
    """Return a new object's status, or None for a kind without one (custom resources)."""
    status = _INITIAL_STATUS.get(kind.kind) if kind.definition else None
    return None if status is None else deepcopy(status)


def complete_status(kind: Kind, document: Json) -> None:
    """Add what the server derives from a new object's spec."""
    if kind.kind == "CustomResourceDefinition":
        versions = document["spec"].get("versions") or []
        document["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": [item["name"] for item in versions if item.get("storage")],
        }
    if kind.kind == "Pod" and "qosClass" not in document.get("status", {}):
        document.setdefault("status", {})["qosClass"] = _qos_class(document["spec"])


def _qos_class(spec: Json) -> str:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    resources = [container.get("resources") or {} for container in containers]
    amounts = [
        {part: {k: v for k, v in (item.get(part) or {}).items() if k in {"cpu", "memory"}}
         for part in ("limits", "requests")}
        for item in resources
    ]  # fmt: skip
    if not any(item["limits"] or item["requests"] for item in amounts):
        return "BestEffort"
    guaranteed = all(
        item["limits"].keys() == {"cpu", "memory"} and item["limits"] == item["requests"]
        for item in amounts
    )
    return "Guaranteed" if guaranteed else "Burstable"


def set_defaults(  # noqa: PLR0912 - one branch per kind
    kind: Kind, document: Json
) -> None:
    """Set defaults in place."""
    if kind.kind in WITH_POD_TEMPLATE:
        document.setdefault("spec", {})
    spec = document.get("spec")
    if kind.kind == "Namespace":
        labels = document["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = document["metadata"].get("name", "")
    elif kind.kind == "Secret":
        document.setdefault("type", "Opaque")
        strings = document.pop("stringData", None)
        if strings:
            _string_data(document, strings)
    elif kind.kind == "DaemonSet":
        annotations = document["metadata"].setdefault("annotations", {})
        annotations.setdefault("deprecated.daemonset.template.generation", "1")
    elif kind.kind == "CustomResourceDefinition":
        _definition(document)
    elif kind.kind == "PriorityClass":
        set_missing(document, preemptionPolicy="PreemptLowerPriority")
    elif kind.kind == "StorageClass":
        set_missing(document, reclaimPolicy="Delete", volumeBindingMode="Immediate")
    elif kind.kind in {"RoleBinding", "ClusterRoleBinding"}:
        document.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
        for subject in document.get("subjects") or ():
            if subject.get("kind") in {"User", "Group"}:
                subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    if not isinstance(spec, dict):
        return
    if kind.kind == "Pod":
        set_pod_defaults(spec, runs=True)
        set_missing(spec, enableServiceLinks=True)
    elif kind.kind in WITH_POD_TEMPLATE:
        _workload(kind.kind, spec)
    elif kind.kind == "Job":
        _job(document, spec)
    elif kind.kind == "CronJob":
        set_missing(
            spec,
            concurrencyPolicy="Allow",
            suspend=False,
            successfulJobsHistoryLimit=3,
            failedJobsHistoryLimit=1,
        )
        set_pod_defaults(
            spec.get("jobTemplate", {}).get("spec", {}).get("template", {}).setdefault("spec", {})
        )
    elif kind.kind == "Service":
        _service(spec)
    elif kind.kind == "HorizontalPodAutoscaler":
        _autoscaler(spec)
    elif kind.kind == "LimitRange":
        for limit in spec.get("limits") or ():
            _limits(limit)
    elif kind.kind == "NetworkPolicy":
        for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
            for port in rule.get("ports") or ():
                set_missing(port, protocol="TCP")
        spec.setdefault(
            "policyTypes", ["Ingress", "Egress"] if spec.get("egress") is not None else ["Ingress"]
        )
    elif kind.kind == "PersistentVolumeClaim":
        set_missing(spec, volumeMode="Filesystem")
    elif kind.kind == "PersistentVolume":
        set_missing(spec, volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _definition(document: Json) -> None:
    spec = document.get("spec", {})
    set_missing(spec, conversion={"strategy": "None"})
    names = spec.get("names", {})
    set_missing(names, listKind=f"{names.get('kind', '')}List")
    if names.get("kind"):
        set_missing(names, singular=names["kind"].lower())


def allocate(
    kind: Kind, document: Json, state: ClusterState, live: Mapping[str, Any] | None = None
) -> None:
    """Set in place what the server chooses; choices of the stored state `live` are kept."""
    if kind.kind == "Namespace":
        document["spec"] = {"finalizers": ["kubernetes"]} if live is None else live.get("spec", {})
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return
    if kind.kind == "Service":
        _service_addresses(spec, state, live)
    elif kind.kind == "Job" and live is None:
        _job_selector(document, spec)
    elif kind.kind == "PersistentVolumeClaim":
        if live is None:
            finalizers = document["metadata"].setdefault("finalizers", [])
            if "kubernetes.io/pvc-protection" not in finalizers:
                finalizers.append("kubernetes.io/pvc-protection")
        state.default_storage_class(spec)


def _string_data(document: Json, strings: Mapping[str, str]) -> None:
    data = document.setdefault("data", {})
    for key, value in strings.items():
        data[key] = b64encode(value.encode()).decode()


def _workload(kind: str, spec: Json) -> None:
    set_pod_defaults(spec.setdefault("template", {}).setdefault("spec", {}))
    if kind != "DaemonSet":
        set_missing(spec, replicas=1)
    if kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        set_missing(spec, revisionHistoryLimit=10)
    if kind == "Deployment":
        set_missing(spec, progressDeadlineSeconds=600, strategy={})
        set_missing(spec["strategy"], type="RollingUpdate")
        if spec["strategy"]["type"] == "RollingUpdate":
            set_missing(spec["strategy"], rollingUpdate={})
            set_missing(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    elif kind == "StatefulSet":
        set_missing(
            spec,
            podManagementPolicy="OrderedReady",
            updateStrategy={},
            persistentVolumeClaimRetentionPolicy={},
        )
        set_missing(spec["updateStrategy"], type="RollingUpdate")
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            set_missing(spec["updateStrategy"], rollingUpdate={})
            set_missing(spec["updateStrategy"]["rollingUpdate"], partition=0)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.update(apiVersion="v1", kind="PersistentVolumeClaim")
            set_missing(claim.setdefault("spec", {}), volumeMode="Filesystem")
            claim.setdefault("status", {"phase": "Pending"})
        set_missing(
            spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain"
        )
    elif kind == "DaemonSet":
        set_missing(spec, updateStrategy={})
        set_missing(spec["updateStrategy"], type="RollingUpdate")
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            set_missing(spec["updateStrategy"], rollingUpdate={})
            set_missing(spec["updateStrategy"]["rollingUpdate"], maxSurge=0, maxUnavailable=1)


def _job(document: Json, spec: Json) -> None:
    set_missing(
        spec,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        parallelism=1,
        manualSelector=False,
        podReplacementPolicy="Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
    )
    if "completions" not in spec and spec["parallelism"] == 1:
        spec["completions"] = 1
    template = spec.get("template")
    if isinstance(template, dict):
        set_pod_defaults(template.setdefault("spec", {}))
        labels = (template.get("metadata") or {}).get("labels")
        if labels and "labels" not in document["metadata"]:
            document["metadata"]["labels"] = dict(labels)


def _job_selector(document: Json, spec: Json) -> None:
    """Generate the labels of the job's pods, and the selector for them."""
    template = spec.get("template")
    if isinstance(template, dict) and not spec.get("manualSelector"):
        uid, name = document["metadata"].get("uid", ""), document["metadata"].get("name", "")
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels.update(
            {
                "batch.kubernetes.io/controller-uid": uid,
                "batch.kubernetes.io/job-name": name,
                "controller-uid": uid,
                "job-name": name,
            }
        )
        spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
        if "labels" not in document["metadata"]:
            document["metadata"]["labels"] = dict(labels)


_POLICY = {"type": "Percent", "value": 100, "periodSeconds": 15}


def _autoscaler(spec: Json) -> None:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    set_missing(spec, minReplicas=1, metrics=[{"type": "Resource", "resource": cpu}])
    if "behavior" in spec:
        up = spec["behavior"].setdefault("scaleUp", {})
        pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
        set_missing(
            up, stabilizationWindowSeconds=0, selectPolicy="Max", policies=[pods, dict(_POLICY)]
        )
        down = spec["behavior"].setdefault("scaleDown", {})
        set_missing(down, selectPolicy="Max", policies=[dict(_POLICY)])


def _limits(limit: Json) -> None:
    if limit.get("type") != "Container":
        return
    default, requests = dict(limit.get("max") or {}), dict(limit.get("min") or {})
    default |= limit.get("default") or {}
    requests = {**requests, **default} | (limit.get("defaultRequest") or {})
    for name, value in (("default", default), ("defaultRequest", requests)):
        if value:
            limit[name] = value


def _service(spec: Json) -> None:
    set_missing(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "ClientIP":
        set_missing(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})
    if spec["type"] == "ExternalName":
        return
    set_missing(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in _EXTERNAL:
        set_missing(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        set_missing(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or ():
        set_missing(port, protocol="TCP")
        set_missing(port, targetPort=port.get("port"))


def _service_addresses(spec: Json, state: ClusterState, live: Mapping[str, Any] | None) -> None:
    old = (live or {}).get("spec", {})
    if old:
        _drop_fields_of_former_type(spec, old)
    if spec["type"] == "ExternalName":
        return
    set_missing(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old.get("clusterIP") or _cluster_ip(state)
    spec["clusterIPs"] = [spec["clusterIP"]]
    allocated = state.node_ports()
    node_ports = {
        (port.get("port"), port.get("protocol")): port.get("nodePort")
        for port in old.get("ports") or ()
    }
    for port in spec.get("ports") or ():
        if _has_node_ports(spec) and not port.get("nodePort"):
            node_port = node_ports.get((port.get("port"), port["protocol"])) or next(
                n for n in _NODE_PORTS if n not in allocated
            )
            allocated.add(node_port)
            port["nodePort"] = node_port


def _drop_fields_of_former_type(spec: Json, old: Mapping[str, Any]) -> None:
    """Remove fields that the new type does not have, unless the request changes them too.

    Source: Kubernetes, pkg/registry/core/service/strategy.go, dropTypeDependentFields.
    """
    if "ExternalName" == spec["type"] != old.get("type"):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            _drop_unchanged(spec, old, name)
    if _has_node_ports(old) and not _has_node_ports(spec):
        ports, before = (
            {port.get("nodePort") for port in item.get("ports") or ()} for item in (spec, old)
        )
        if ports == before:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
    if old.get("type") in _EXTERNAL and spec["type"] not in _EXTERNAL:
        _drop_unchanged(spec, old, "externalTrafficPolicy")
    if old.get("type") == "LoadBalancer" != spec["type"]:
        _drop_unchanged(spec, old, "allocateLoadBalancerNodePorts")
        _drop_unchanged(spec, old, "loadBalancerClass")


def _has_node_ports(spec: Mapping[str, Any]) -> bool:
    if spec.get("type") == "LoadBalancer":
        return bool(spec.get("allocateLoadBalancerNodePorts", True))
    return spec.get("type") == "NodePort"


def _drop_unchanged(spec: Json, old: Mapping[str, Any], name: str) -> None:
    if name in spec and spec[name] == old.get(name):
        del spec[name]


def _cluster_ip(state: ClusterState) -> str:
    allocated = state.cluster_ips()
    network = ipaddress.ip_network(state.service_cidr)
    # .1 belongs to the API server, .10 to the cluster DNS.
    first = int(network.network_address) + 16
    return next(
        address
        for n in range(network.num_addresses - 32)
        if (address := str(ipaddress.ip_address(first + n))) not in allocated
    )
