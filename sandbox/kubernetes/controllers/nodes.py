"""Nodes: the ones that the account's node groups have, and the ones that Auto Mode makes for pods that fit nowhere."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.contracts.cluster_host import NodeFacts, Taint
from sandbox.kubernetes.controllers.context import Work, now
from sandbox.kubernetes.storage.object_store import Json

_SIZES = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}
# GiB per vCPU, by the family's first letter; burstable sizes have their own.
_MEMORY = {"c": 2, "m": 4, "r": 8, "x": 16, "i": 8, "g": 4, "p": 8, "d": 8, "z": 8, "h": 4}
_BURSTABLE = {"nano": 0.5, "micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_GROUP = "sandbox/node-group"
AUTO = "eks.amazonaws.com/compute-type"
_ZONES = "abc"


def capacity(instance_type: str) -> tuple[int, float, int]:
    """Return vCPUs, GiB of memory and the most pods of an instance type, by the rules that EC2's sizes follow.

    The pod numbers are the VPC CNI's without prefix delegation, rounded to the usual 17, 29 and 58.
    """
    family, _, size = instance_type.partition(".")
    match = re.match(r"(\d+)xlarge", size)
    cpus = int(match.group(1)) * 4 if match else _SIZES.get(size, 2)
    if family.startswith("t"):
        memory = _BURSTABLE.get(size, 8.0)
    else:
        cpus = 1 if size == "medium" else cpus
        memory = cpus * _MEMORY.get(family[:1], 4)
    pods = {
        "nano": 4,
        "micro": 4,
        "small": 11,
        "medium": 17 if family.startswith("t") else 8,
        "large": 29 if not family.startswith("t") else 35,
    }.get(size, 58)
    return cpus, memory, pods


def document(facts: NodeFacts, group: str, extra: Mapping[str, str] | None = None) -> Json:
    """Return the Node object of an instance."""
    cpus, memory, pods = capacity(facts.instance_type)
    region = facts.zone[:-1]
    labels = {
        "kubernetes.io/hostname": facts.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": facts.architecture,
        "node.kubernetes.io/instance-type": facts.instance_type, "topology.kubernetes.io/zone": facts.zone,
        "topology.kubernetes.io/region": region, "eks.amazonaws.com/capacityType": facts.capacity_type,
        **({"eks.amazonaws.com/nodegroup": group} if group else {}), **facts.labels, **(extra or {}),
    }  # fmt: skip
    # What kubelet and system keep for themselves, after EKS's bootstrap: 70 millicores or so, and memory per pod.
    allocatable = {
        "cpu": f"{cpus * 1000 - 70 - 10 * (cpus > 2)}m",
        "memory": f"{int(memory * 1024) - 255 - 11 * pods - 100}Mi",
        "pods": str(pods),
    }
    moment = now()
    return {
        "metadata": {"name": facts.name, "labels": labels, "annotations": {_GROUP: group}},
        "spec": {
            "providerID": f"aws:///{facts.zone}/{facts.instance_id}",
            **({"taints": [{"key": t.key, "value": t.value, "effect": t.effect} for t in facts.taints]} if facts.taints else {}),
        },
        "status": {
            "capacity": {"cpu": str(cpus), "memory": f"{int(memory * 1024)}Mi", "pods": str(pods)},
            "allocatable": allocatable,
            "addresses": [{"type": "InternalIP", "address": facts.private_ip}, {"type": "Hostname", "address": facts.name}],
            "nodeInfo": {
                "kubeletVersion": f"v{_patched(facts.version)}-eks-sandbox", "architecture": facts.architecture,
                "operatingSystem": "linux", "osImage": "Amazon Linux 2023", "containerRuntimeVersion": "sandbox://objects-only",
                "kernelVersion": "", "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "",
            },
            "conditions": [
                {
                    "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                    "lastHeartbeatTime": moment, "lastTransitionTime": moment,
                }
            ],
        },
    }  # fmt: skip


def set_group(work: Work, group: str, nodes: Sequence[NodeFacts]) -> None:
    """Make these the nodes of a group; the pods of nodes that go are deleted, their owners make new ones."""
    with work.store.lock:
        wanted = {facts.name: facts for facts in nodes}
        for item in work.listed("nodes"):
            if item["metadata"]["annotations"].get(_GROUP) == group and item["metadata"]["name"] not in wanted:
                work.delete(item)
        for facts in nodes:
            live = work.named("nodes", "", facts.name)
            new = document(facts, group)
            if live is None:
                work.create("v1", "Node", "", new)
                continue
            labels = {**live["metadata"]["labels"], **new["metadata"]["labels"]}
            work.save(
                {**live, "metadata": {**live["metadata"], "labels": labels}, "spec": {**live["spec"], **new["spec"]}}
            )


def auto_node(work: Work, pod: Mapping[str, Any]) -> Json | None:
    """Make a node for a pod that fits nowhere, as EKS Auto Mode's node pools do; None when none of them can."""
    spec = pod["spec"]
    selector = spec.get("nodeSelector") or {}
    architecture = selector.get("kubernetes.io/arch", "amd64")
    known = {
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/zone",
        AUTO,
        "karpenter.sh/capacity-type",
    }
    pool = _pool_for(work, architecture)
    if set(selector) - known or pool is None:
        return None
    made = [n for n in work.listed("nodes") if AUTO in n["metadata"]["labels"]]
    zones = [f"{work.facts.region}{letter}" for letter in _ZONES]
    used = [n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in made]
    zone = selector.get("topology.kubernetes.io/zone") or min(zones, key=lambda z: (used.count(z), z))
    family = "c6g" if architecture == "arm64" else "c6a"
    identifier = f"i-{secrets.token_hex(9)[:17]}"
    size = _fitting_size(pod, family)
    if size is None:
        return None
    facts = NodeFacts(
        name=identifier, instance_id=identifier, instance_type=f"{family}.{size}", architecture=architecture, zone=zone,
        capacity_type="ON_DEMAND", version=work.facts.version, private_ip=f"10.0.{len(made) % 250}.{10 + secrets.randbelow(200)}",
    )  # fmt: skip
    labels = {AUTO: "auto", "karpenter.sh/nodepool": pool, "karpenter.sh/capacity-type": "on-demand"}
    return work.create("v1", "Node", "", document(facts, "", labels))


def _pool_for(work: Work, architecture: str) -> str | None:
    """The built-in pool makes amd64 machines only; for others the cluster needs a NodePool that names them
    (https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html).
    """
    if architecture == "amd64":
        return "general-purpose"
    for pool in work.listed("nodepools.karpenter.sh"):
        for rule in pool["spec"]["template"]["spec"].get("requirements") or ():
            if rule.get("key") == "kubernetes.io/arch" and architecture in rule.get("values", ()):
                return str(pool["metadata"]["name"])
    return None


def _patched(version: str) -> str:
    """A kubelet's version has a patch number, which Auto Mode's nodes get from their cluster's minor version."""
    return version if version.count(".") == 2 else f"{version}.0"


def _fitting_size(pod: Mapping[str, Any], family: str) -> str | None:
    from sandbox.kubernetes.admission.resource_quota import pod_total  # noqa: PLC0415 - only Auto Mode needs it

    cpu, memory = pod_total(pod["spec"], "requests", "cpu"), pod_total(pod["spec"], "requests", "memory")
    for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"):
        cpus, gib, _ = capacity(f"{family}.{size}")
        if cpu <= cpus - 1 and memory <= (gib - 1) * 2**30:
            return size
    return None


def remove_idle(work: Work) -> None:
    """Remove the Auto Mode nodes that no pod runs on."""
    busy = {pod["spec"].get("nodeName") for pod in work.listed("pods")}
    for item in work.listed("nodes"):
        if AUTO in item["metadata"]["labels"] and item["metadata"]["name"] not in busy:
            work.delete(item)


def taints(item: Mapping[str, Any]) -> list[Taint]:
    """Return a node's taints, with the one of a cordoned node."""
    found = [
        Taint(key=t["key"], value=t.get("value", ""), effect=t["effect"]) for t in item["spec"].get("taints") or ()
    ]
    if item["spec"].get("unschedulable"):
        found.append(Taint(key="node.kubernetes.io/unschedulable", value="", effect="NoSchedule"))
    return found
