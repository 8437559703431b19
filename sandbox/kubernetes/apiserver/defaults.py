"""Default values per kind, and allocation of cluster IPs and node ports."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import WITH_POD_TEMPLATE, Kind
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Json

# Kinds that have a generation even without a spec.
WITH_GENERATION = frozenset(
    {
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


def set_defaults(  # noqa: PLR0912 - one branch per kind
    kind: Kind, document: Json, state: ClusterState, live: Mapping[str, Any] | None = None
) -> None:
    """Set defaults in place; allocations of the stored state `live` are kept."""
    spec = document.get("spec")
    if kind.kind == "Namespace":
        _namespace(document, live)
    elif kind.kind == "Secret":
        document.setdefault("type", "Opaque")
        strings = document.pop("stringData", None)
        if strings:
            _string_data(document, strings)
    elif kind.kind == "StorageClass":
        _set_missing(document, reclaimPolicy="Delete", volumeBindingMode="Immediate")
    elif kind.kind in {"RoleBinding", "ClusterRoleBinding"}:
        document.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
        for subject in document.get("subjects") or ():
            if subject.get("kind") in {"User", "Group"}:
                subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    if not isinstance(spec, dict):
        return
    if kind.kind == "Pod":
        set_pod_defaults(spec)
    elif kind.kind in WITH_POD_TEMPLATE:
        _workload(kind.kind, spec)
    elif kind.kind == "Job":
        _job(document, spec)
    elif kind.kind == "CronJob":
        _set_missing(
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
        _service(spec, state, live)
    elif kind.kind == "HorizontalPodAutoscaler":
        _set_missing(spec, minReplicas=1)
    elif kind.kind == "NetworkPolicy":
        spec.setdefault(
            "policyTypes", ["Ingress", "Egress"] if spec.get("egress") is not None else ["Ingress"]
        )
    elif kind.kind == "PersistentVolumeClaim":
        _set_missing(spec, volumeMode="Filesystem")
        state.default_storage_class(spec)
    elif kind.kind == "PersistentVolume":
        _set_missing(spec, volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _set_missing(target: Json, **values: Any) -> None:
    for key, value in values.items():
        target.setdefault(key, value)


def _namespace(document: Json, live: Mapping[str, Any] | None) -> None:
    labels = document["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = document["metadata"].get("name", "")
    if live is None:
        document["spec"] = {"finalizers": ["kubernetes"]}
    else:
        document["spec"] = live.get("spec", {})


def _string_data(document: Json, strings: Mapping[str, str]) -> None:
    data = document.setdefault("data", {})
    for key, value in strings.items():
        data[key] = b64encode(value.encode()).decode()


def set_pod_defaults(spec: Json) -> None:
    """Set defaults of a pod spec."""
    _set_missing(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _container(container)
    for volume in spec.get("volumes") or ():
        for source in ("secret", "configMap", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                _set_missing(volume[source], defaultMode=420)
        for entry in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in entry:
                _set_missing(entry["serviceAccountToken"], expirationSeconds=3600)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _set_missing(constraint, whenUnsatisfiable="DoNotSchedule")


def _container(container: Json) -> None:
    image = str(container.get("image", ""))
    tag = image.rsplit("/", 1)[-1]
    latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
    _set_missing(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    resources = container["resources"]
    if resources.get("limits"):
        requests = resources.setdefault("requests", {})
        for name, value in resources["limits"].items():
            requests.setdefault(name, value)
    for port in container.get("ports") or ():
        _set_missing(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            _set_missing(
                container[probe],
                timeoutSeconds=1,
                periodSeconds=10,
                successThreshold=1,
                failureThreshold=3,
            )
            if "httpGet" in container[probe]:
                _set_missing(container[probe]["httpGet"], path="/", scheme="HTTP")
    for entry in container.get("env") or ():
        reference = (entry.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _set_missing(reference, apiVersion="v1")


def _workload(kind: str, spec: Json) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        set_pod_defaults(template.setdefault("spec", {}))
    if kind != "DaemonSet":
        _set_missing(spec, replicas=1)
    if kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        _set_missing(spec, revisionHistoryLimit=10)
    if kind == "Deployment":
        _set_missing(spec, progressDeadlineSeconds=600, strategy={})
        _set_missing(spec["strategy"], type="RollingUpdate")
        if spec["strategy"]["type"] == "RollingUpdate":
            _set_missing(spec["strategy"], rollingUpdate={})
            _set_missing(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    elif kind == "StatefulSet":
        _set_missing(
            spec,
            podManagementPolicy="OrderedReady",
            updateStrategy={},
            persistentVolumeClaimRetentionPolicy={},
        )
        _set_missing(spec["updateStrategy"], type="RollingUpdate")
        _set_missing(
            spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain"
        )
    elif kind == "DaemonSet":
        _set_missing(spec, updateStrategy={})
        _set_missing(spec["updateStrategy"], type="RollingUpdate")
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            _set_missing(spec["updateStrategy"], rollingUpdate={})
            _set_missing(spec["updateStrategy"]["rollingUpdate"], maxSurge=0, maxUnavailable=1)


def _job(document: Json, spec: Json) -> None:
    _set_missing(
        spec,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        parallelism=1,
        podReplacementPolicy="TerminatingOrFailed",
    )
    if "completions" not in spec and spec["parallelism"] == 1:
        spec["completions"] = 1
    template = spec.get("template")
    if not isinstance(template, dict):
        return
    set_pod_defaults(template.setdefault("spec", {}))
    if not spec.get("manualSelector"):
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


def _service(spec: Json, state: ClusterState, live: Mapping[str, Any] | None) -> None:
    _set_missing(spec, type="ClusterIP", sessionAffinity="None")
    old = (live or {}).get("spec", {})
    if spec["type"] == "ExternalName":
        return
    _set_missing(
        spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack", internalTrafficPolicy="Cluster"
    )
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        _set_missing(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set_missing(spec, allocateLoadBalancerNodePorts=True)
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old.get("clusterIP") or _cluster_ip(state)
    spec["clusterIPs"] = [spec["clusterIP"]]
    allocated = state.node_ports()
    node_ports = {
        (port.get("port"), port.get("protocol")): port.get("nodePort")
        for port in old.get("ports") or ()
    }
    for port in spec.get("ports") or ():
        _set_missing(port, protocol="TCP")
        _set_missing(port, targetPort=port.get("port"))
        if spec["type"] in {"NodePort", "LoadBalancer"} and not port.get("nodePort"):
            node_port = node_ports.get((port.get("port"), port["protocol"])) or next(
                n for n in _NODE_PORTS if n not in allocated
            )
            allocated.add(node_port)
            port["nodePort"] = node_port


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
