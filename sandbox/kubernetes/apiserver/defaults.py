"""The values that the API server fills in, per kind, and the addresses and ports that it allocates."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.storage.object_store import Json

if TYPE_CHECKING:
    from sandbox.kubernetes.admission.chain import Context

# Kinds that have a generation although they may be created without a spec.
GENERATED = frozenset(
    {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Ingress", "NetworkPolicy"}
)
_TEMPLATED = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController"})
_NODE_PORTS = range(30000, 32768)
# What an object's status says before any controller has looked at it: the API server always answers with one, and
# writes those of its fields that have no "omitempty". Clients rely on both.
_UNSEEN: dict[str, Json] = {
    "DaemonSet": {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
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
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "disruptionsAllowed": 0,
        "expectedPods": 0,
    },
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "ResourceQuota": {},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"availableReplicas": 0, "replicas": 0},
}


def unseen_status(kind: Kind) -> Json | None:
    """The status of a new object, or None for a kind whose objects have none until somebody writes it (custom resources)."""
    status = _UNSEEN.get(kind.kind) if kind.definition else None
    return None if status is None else deepcopy(status)


def fill(kind: Kind, document: Json, context: Context, live: Mapping[str, Any] | None = None) -> None:  # noqa: PLR0912 - one branch per kind
    """Complete a document in place; `live` is its stored state, whose allocations are kept."""
    spec = document.get("spec")
    if kind.kind == "Namespace":
        _namespace(document, live)
    elif kind.kind == "Secret":
        document.setdefault("type", "Opaque")
        strings = document.pop("stringData", None)
        if strings:
            _string_data(document, strings)
    elif kind.kind == "StorageClass":
        _set(document, reclaimPolicy="Delete", volumeBindingMode="Immediate")
    elif kind.kind in {"RoleBinding", "ClusterRoleBinding"}:
        document.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
        for subject in document.get("subjects") or ():
            if subject.get("kind") in {"User", "Group"}:
                subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    if not isinstance(spec, dict):
        return
    if kind.kind == "Pod":
        pod_spec(spec)
    elif kind.kind in _TEMPLATED:
        _workload(kind.kind, spec)
    elif kind.kind == "Job":
        _job(document, spec)
    elif kind.kind == "CronJob":
        _set(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
        pod_spec(spec.get("jobTemplate", {}).get("spec", {}).get("template", {}).setdefault("spec", {}))
    elif kind.kind == "Service":
        _service(spec, context, live)
    elif kind.kind == "HorizontalPodAutoscaler":
        _set(spec, minReplicas=1)
    elif kind.kind == "NetworkPolicy":
        spec.setdefault("policyTypes", ["Ingress", "Egress"] if spec.get("egress") is not None else ["Ingress"])
    elif kind.kind == "PersistentVolumeClaim":
        _set(spec, volumeMode="Filesystem")
        context.default_storage_class(spec)
    elif kind.kind == "PersistentVolume":
        _set(spec, volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _set(target: Json, **values: Any) -> None:
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
    from base64 import b64encode  # noqa: PLC0415 - only Secrets need it

    data = document.setdefault("data", {})
    for key, value in strings.items():
        data[key] = b64encode(value.encode()).decode()


def pod_spec(spec: Json) -> None:
    """Complete a pod's spec."""
    _set(
        spec, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst", securityContext={},
        schedulerName="default-scheduler",
    )  # fmt: skip
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _container(container)
    for volume in spec.get("volumes") or ():
        for source in ("secret", "configMap", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                _set(volume[source], defaultMode=420)
        for entry in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in entry:
                _set(entry["serviceAccountToken"], expirationSeconds=3600)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _set(constraint, whenUnsatisfiable="DoNotSchedule")


def _container(container: Json) -> None:
    image = str(container.get("image", ""))
    tag = image.rsplit("/", 1)[-1]
    latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
    _set(
        container, imagePullPolicy="Always" if latest else "IfNotPresent", resources={},
        terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
    )  # fmt: skip
    resources = container["resources"]
    if resources.get("limits"):
        requests = resources.setdefault("requests", {})
        for name, value in resources["limits"].items():
            requests.setdefault(name, value)
    for port in container.get("ports") or ():
        _set(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            _set(container[probe], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in container[probe]:
                _set(container[probe]["httpGet"], path="/", scheme="HTTP")
    for entry in container.get("env") or ():
        reference = (entry.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _set(reference, apiVersion="v1")


def _workload(kind: str, spec: Json) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        pod_spec(template.setdefault("spec", {}))
    if kind != "DaemonSet":
        _set(spec, replicas=1)
    if kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        _set(spec, revisionHistoryLimit=10)
    if kind == "Deployment":
        _set(spec, progressDeadlineSeconds=600, strategy={})
        _set(spec["strategy"], type="RollingUpdate")
        if spec["strategy"]["type"] == "RollingUpdate":
            _set(spec["strategy"], rollingUpdate={})
            _set(spec["strategy"]["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    elif kind == "StatefulSet":
        _set(spec, podManagementPolicy="OrderedReady", updateStrategy={}, persistentVolumeClaimRetentionPolicy={})
        _set(spec["updateStrategy"], type="RollingUpdate")
        _set(spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain")
    elif kind == "DaemonSet":
        _set(spec, updateStrategy={})
        _set(spec["updateStrategy"], type="RollingUpdate")
        if spec["updateStrategy"]["type"] == "RollingUpdate":
            _set(spec["updateStrategy"], rollingUpdate={})
            _set(spec["updateStrategy"]["rollingUpdate"], maxSurge=0, maxUnavailable=1)


def _job(document: Json, spec: Json) -> None:
    _set(
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
    pod_spec(template.setdefault("spec", {}))
    if not spec.get("manualSelector"):
        uid, name = document["metadata"].get("uid", ""), document["metadata"].get("name", "")
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels.update(
            {
                "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
                "controller-uid": uid, "job-name": name,
            }
        )  # fmt: skip
        spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})


def _service(spec: Json, context: Context, live: Mapping[str, Any] | None) -> None:
    _set(spec, type="ClusterIP", sessionAffinity="None")
    old = (live or {}).get("spec", {})
    if spec["type"] == "ExternalName":
        return
    _set(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack", internalTrafficPolicy="Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        _set(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set(spec, allocateLoadBalancerNodePorts=True)
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old.get("clusterIP") or _cluster_ip(context)
    spec["clusterIPs"] = [spec["clusterIP"]]
    taken = context.node_ports()
    kept = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in old.get("ports") or ()}
    for port in spec.get("ports") or ():
        _set(port, protocol="TCP")
        _set(port, targetPort=port.get("port"))
        if spec["type"] in {"NodePort", "LoadBalancer"} and not port.get("nodePort"):
            node_port = kept.get((port.get("port"), port["protocol"])) or next(n for n in _NODE_PORTS if n not in taken)
            taken.add(node_port)
            port["nodePort"] = node_port


def _cluster_ip(context: Context) -> str:
    taken = context.cluster_ips()
    network = ipaddress.ip_network(context.service_cidr)
    # .1 is the API server's and .10 the cluster DNS's.
    first = int(network.network_address) + 16
    return next(
        address
        for n in range(network.num_addresses - 32)
        if (address := str(ipaddress.ip_address(first + n))) not in taken
    )
