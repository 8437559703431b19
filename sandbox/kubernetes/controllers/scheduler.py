"""The scheduler: assigns pods to nodes, and binds volume claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sandbox.contracts.cluster_host import Taint
from sandbox.kubernetes.admission.resource_quota import pod_total
from sandbox.kubernetes.apimachinery.quantities import parse
from sandbox.kubernetes.apimachinery.selectors import Requirement, from_object, selects
from sandbox.kubernetes.controllers import nodes
from sandbox.kubernetes.controllers.context import ControllerContext, set_condition, terminating
from sandbox.kubernetes.storage.object_store import Json

_DONE = {"Succeeded", "Failed"}


def schedule(context: ControllerContext) -> None:
    """Assign a node to each pending pod, or record on the pod why none fits."""
    pods = [pod for pod in context.list_objects("pods") if not terminating(pod)]
    waiting = [pod for pod in pods if not pod["spec"].get("nodeName") and _phase(pod) not in _DONE]
    if not waiting:
        return
    available = context.list_objects("nodes")
    placed = [pod for pod in pods if pod["spec"].get("nodeName") and _phase(pod) not in _DONE]
    for pod in waiting:
        node = _select_node(context, pod, available, placed)
        if node is None and context.facts.auto_mode:
            created = nodes.provision_node(context, pod)
            if created is not None:
                available.append(created)
                node = _select_node(context, pod, available, placed)
        if node is not None:
            placed.append(node)


def _phase(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def _select_node(
    context: ControllerContext, pod: Json, available: Sequence[Json], placed: Sequence[Json]
) -> Json | None:
    reasons: Counter[str] = Counter()
    fitting = []
    blocked = next(iter(_unbound_claims(context, pod)), "")
    for node in available if not blocked else ():
        reason = _filter_reason(pod, node, available, placed)
        if reason:
            reasons[reason] += 1
        else:
            fitting.append(node)
    if not fitting:
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        message = blocked or f"0/{len(available)} nodes are available" + (
            f": {listed}." if listed else "."
        )
        context.record_event(pod, "FailedScheduling", message, "default-scheduler", warning=True)
        old = (pod.get("status") or {}).get("conditions") or []
        conditions = set_condition(old, "PodScheduled", "False", "Unschedulable", message)
        context.update_status(
            pod, {**(pod.get("status") or {}), "phase": "Pending", "conditions": conditions}
        )
        return None
    # Fewest pods of the same owner in the zone, then on the node, then fewest pods.
    owner = [reference["uid"] for reference in pod["metadata"].get("ownerReferences") or ()]
    siblings = [
        p
        for p in placed
        if [r["uid"] for r in p["metadata"].get("ownerReferences") or ()] == owner and owner
    ]
    zones = Counter(_zone(available, str(p["spec"]["nodeName"])) for p in siblings)
    hosts = Counter(p["spec"]["nodeName"] for p in siblings)
    load = Counter(p["spec"]["nodeName"] for p in placed)

    def preference(node: Json) -> tuple[int, int, int, str]:
        name = node["metadata"]["name"]
        return zones[_zone(available, name)], hosts[name], load[name], name

    node = min(fitting, key=preference)
    pod["spec"]["nodeName"] = node["metadata"]["name"]
    old = (pod.get("status") or {}).get("conditions") or []
    conditions = [
        {k: v for k, v in item.items() if k not in {"reason", "message"} or v}
        for item in set_condition(old, "PodScheduled", "True", "", "")
    ]
    pod["status"] = {**(pod.get("status") or {}), "phase": "Pending", "conditions": conditions}
    _bind_claims(context, pod, node)
    context.record_event(
        pod,
        "Scheduled",
        f"Successfully assigned {pod['metadata']['namespace']}/{pod['metadata']['name']} to "
        f"{node['metadata']['name']}",
        "default-scheduler",
    )
    return context.save(pod)


def _zone(available: Sequence[Json], name: str) -> str:
    for node in available:
        if node["metadata"]["name"] == name:
            return str(node["metadata"]["labels"].get("topology.kubernetes.io/zone", ""))
    return ""


def _filter_reason(pod: Json, node: Json, available: Sequence[Json], placed: Sequence[Json]) -> str:  # noqa: PLR0911 - one per reason
    """Return why a pod does not fit on a node, in the scheduler's words."""
    spec, labels = pod["spec"], node["metadata"]["labels"]
    for taint in nodes.taints(node):
        if taint.effect != "PreferNoSchedule" and not any(
            tolerates(t, taint) for t in spec.get("tolerations") or ()
        ):
            value = f": {taint.value}" if taint.value else ": "
            return f"node(s) had untolerated taint {{{taint.key}{value}}}"
    if not matches_node(spec, labels):
        return "node(s) didn't match Pod's node affinity/selector"
    here = [p for p in placed if p["spec"]["nodeName"] == node["metadata"]["name"]]
    room = node["status"]["allocatable"]
    if len(here) >= int(room["pods"]):
        return "Too many pods"
    for name in ("cpu", "memory"):
        used = sum((pod_total(p["spec"], "requests", name) for p in here), Decimal(0))
        if used + pod_total(spec, "requests", name) > parse(room[name]):
            return f"Insufficient {name}"
    if _violates_anti_affinity(pod, labels, available, placed):
        return "node(s) didn't match pod anti-affinity rules"
    if _violates_topology_spread(pod, labels, available, placed):
        return "node(s) didn't match pod topology spread constraints"
    return ""


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Return whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    if toleration.get("key") and toleration["key"] != taint.key:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.value


def matches_node(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a node's labels satisfy nodeSelector and required node affinity."""
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(
        all(
            Requirement(item["key"], item["operator"], tuple(item.get("values") or ())).matches(
                labels
            )
            for item in term.get("matchExpressions") or ()
        )
        for term in affinity.get("nodeSelectorTerms") or ()
    )


def _domain(available: Sequence[Json], pod: Mapping[str, Any], key: str) -> str:
    for node in available:
        if node["metadata"]["name"] == pod["spec"]["nodeName"]:
            return str(node["metadata"]["labels"].get(key, ""))
    return ""


def _violates_anti_affinity(
    pod: Json, labels: Mapping[str, str], available: Sequence[Json], placed: Sequence[Json]
) -> bool:
    affinity = ((pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or ()
    for term in affinity:
        key, requirements = term["topologyKey"], from_object(term.get("labelSelector"))
        namespaces = term.get("namespaces") or [pod["metadata"]["namespace"]]
        for other in placed:
            if (
                other["metadata"]["namespace"] in namespaces
                and selects(requirements, other)
                and _domain(available, other, key) == labels.get(key)
            ):
                return True
    return False


def _violates_topology_spread(
    pod: Json, labels: Mapping[str, str], available: Sequence[Json], placed: Sequence[Json]
) -> bool:
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        if constraint["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key, requirements = constraint["topologyKey"], from_object(constraint.get("labelSelector"))
        if key not in labels:
            return True
        counted: Counter[str] = Counter()
        domains = {
            n["metadata"]["labels"][key]
            for n in available
            if key in n["metadata"]["labels"] and matches_node(pod["spec"], n["metadata"]["labels"])
        }
        template_keys = constraint.get("matchLabelKeys") or ()
        mine = pod["metadata"].get("labels") or {}
        for other in placed:
            same = all(
                (other["metadata"].get("labels") or {}).get(k) == mine.get(k) for k in template_keys
            )
            if (
                other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                and same
                and selects(requirements, other)
            ):
                counted[_domain(available, other, key)] += 1
        low = min((counted[d] for d in domains), default=0)
        if counted[labels[key]] + 1 - low > constraint["maxSkew"]:
            return True
    return False


def _claims(context: ControllerContext, pod: Json) -> Iterator[tuple[str, Json | None]]:
    for volume in pod["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name:
            yield (
                name,
                context.get_object("persistentvolumeclaims", pod["metadata"]["namespace"], name),
            )


def _unbound_claims(context: ControllerContext, pod: Json) -> Iterator[str]:
    for name, claim in _claims(context, pod):
        if claim is None:
            yield f'persistentvolumeclaim "{name}" not found'
        elif (claim.get("status") or {}).get("phase") != "Bound" and not provisioner(
            context, claim
        ):
            yield (
                "pod has unbound immediate PersistentVolumeClaims. preemption: 0/0 nodes are "
                "available"
            )


def provisioner(context: ControllerContext, claim: Json) -> bool:
    """Return whether the cluster can provision a volume for a claim."""
    item = context.get_object(
        "storageclasses.storage.k8s.io", "", claim["spec"].get("storageClassName", "")
    )
    if item is None:
        return False
    if item["provisioner"] == "ebs.csi.eks.amazonaws.com":
        return context.facts.auto_mode
    return (
        item["provisioner"] in {"ebs.csi.aws.com", "kubernetes.io/aws-ebs"}
        and "aws-ebs-csi-driver" in context.facts.addons
    )


def _bind_claims(context: ControllerContext, pod: Json, node: Json) -> None:
    for _, claim in _claims(context, pod):
        if claim is not None and (claim.get("status") or {}).get("phase") != "Bound":
            bind_claim(
                context,
                claim,
                str(node["metadata"]["labels"].get("topology.kubernetes.io/zone", "")),
            )


def bind_claim(context: ControllerContext, claim: Json, zone: str) -> None:
    """Provision a volume for a claim and bind both."""
    spec, meta = claim["spec"], claim["metadata"]
    name = f"pvc-{meta['uid']}"
    size = spec["resources"]["requests"]["storage"]
    item = context.get_object("storageclasses.storage.k8s.io", "", spec["storageClassName"]) or {}
    context.create(
        "v1",
        "PersistentVolume",
        "",
        {
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
            "spec": {
                "capacity": {"storage": size},
                "accessModes": spec["accessModes"],
                "storageClassName": spec["storageClassName"],
                "persistentVolumeReclaimPolicy": item.get("reclaimPolicy", "Delete"),
                "volumeMode": spec["volumeMode"],
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "name": meta["name"],
                    "namespace": meta["namespace"],
                    "uid": meta["uid"],
                },
                "csi": {
                    "driver": "ebs.csi.aws.com",
                    "volumeHandle": f"vol-{meta['uid'].replace('-', '')[:17]}",
                    "fsType": "ext4",
                },
            },
            "status": {"phase": "Bound"},
        },
    )
    bound = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": {"storage": size}}
    context.save({**claim, "spec": {**spec, "volumeName": name}, "status": bound})
