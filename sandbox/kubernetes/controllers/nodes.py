"""Nodes of the account's node groups, and nodes that Auto Mode creates for pending pods."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.contracts.cluster_host import NodeFacts, Taint
from sandbox.kubernetes.admission.resource_quota import pod_total
from sandbox.kubernetes.controllers.context import ControllerContext, now
from sandbox.kubernetes.storage.object_store import Json

_SIZES = {"nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4}
# GiB per vCPU by the family's first letter; burstable sizes have their own table.
_MEMORY = {"c": 2, "m": 4, "r": 8, "x": 16, "i": 8, "g": 4, "p": 8, "d": 8, "z": 8, "h": 4}
_BURSTABLE = {
    "nano": 0.5,
    "micro": 1,
    "small": 2,
    "medium": 4,
    "large": 8,
    "xlarge": 16,
    "2xlarge": 32,
}
NODE_GROUP = "sandbox/node-group"
# Of a disk with EKS's default size, 20 GiB.
_DISK = {"capacity": "20959212Ki", "allocatable": "18242267924"}
AUTO = "eks.amazonaws.com/compute-type"
_ZONES = "abc"


def capacity(instance_type: str) -> tuple[int, float, int]:
    """Return vCPUs, GiB of memory and the maximum number of pods of an instance type.

    Pod numbers are the VPC CNI's without prefix delegation.
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


def node_object(facts: NodeFacts, group: str, extra: Mapping[str, str] | None = None) -> Json:
    """Return the Node object of an instance."""
    cpus, memory, pods = capacity(facts.instance_type)
    region = facts.zone[:-1]
    labels = {
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": facts.architecture,
        "node.kubernetes.io/instance-type": facts.instance_type,
        "topology.kubernetes.io/zone": facts.zone,
        "topology.kubernetes.io/region": region,
        "eks.amazonaws.com/capacityType": facts.capacity_type,
        **({"eks.amazonaws.com/nodegroup": group} if group else {}),
        **facts.labels,
        **(extra or {}),
    }
    # Reserved by kubelet and system, after EKS's bootstrap: about 70 millicores, and memory per
    # pod.
    allocatable = {
        "cpu": f"{cpus * 1000 - 70 - 10 * (cpus > 2)}m",
        "memory": f"{int(memory * 1024) - 255 - 11 * pods - 100}Mi",
        "ephemeral-storage": _DISK["allocatable"],
        "pods": str(pods),
    }
    moment = now()
    return {
        "metadata": {"name": facts.name, "labels": labels, "annotations": {NODE_GROUP: group}},
        "spec": {
            "providerID": f"aws:///{facts.zone}/{facts.instance_id}",
            **(
                {
                    "taints": [
                        {"key": t.key, "value": t.value, "effect": t.effect} for t in facts.taints
                    ]
                }
                if facts.taints
                else {}
            ),
        },
        "status": {
            "capacity": {
                "cpu": str(cpus),
                "memory": f"{int(memory * 1024)}Mi",
                "ephemeral-storage": _DISK["capacity"],
                "pods": str(pods),
            },
            "allocatable": allocatable,
            "addresses": [
                {"type": "InternalIP", "address": facts.private_ip},
                {"type": "Hostname", "address": facts.name},
            ],
            "nodeInfo": {
                "kubeletVersion": f"v{_patch_version(facts.version)}-eks-sandbox",
                "architecture": facts.architecture,
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
                "containerRuntimeVersion": "sandbox://objects-only",
                "kernelVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kubeProxyVersion": "",
            },
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                    "lastHeartbeatTime": moment,
                    "lastTransitionTime": moment,
                }
            ],
        },
    }


def set_node_group(context: ControllerContext, group: str, nodes: Sequence[NodeFacts]) -> None:
    """Set the nodes of a group; pods of removed nodes are deleted and recreated by their owners."""
    with context.store.lock:
        by_name = {facts.name: facts for facts in nodes}
        for item in context.list_objects("nodes"):
            if (
                item["metadata"]["annotations"].get(NODE_GROUP) == group
                and item["metadata"]["name"] not in by_name
            ):
                context.delete(item)
        for facts in nodes:
            live = context.get_object("nodes", "", facts.name)
            new = node_object(facts, group)
            if live is None:
                context.create("v1", "Node", "", new)
                continue
            labels = {**live["metadata"]["labels"], **new["metadata"]["labels"]}
            context.save(
                {
                    **live,
                    "metadata": {**live["metadata"], "labels": labels},
                    "spec": {**live["spec"], **new["spec"]},
                }
            )


def provision_node(context: ControllerContext, pod: Mapping[str, Any]) -> Json | None:
    """Create a node for a pending pod, as EKS Auto Mode's node pools do; None if no pool fits."""
    spec = pod["spec"]
    selector = spec.get("nodeSelector") or {}
    architecture = selector.get("kubernetes.io/arch", "amd64")
    supported_labels = {
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/zone",
        AUTO,
        "karpenter.sh/capacity-type",
    }
    pool = _node_pool(context, architecture)
    if set(selector) - supported_labels or pool is None:
        return None
    auto_nodes = [n for n in context.list_objects("nodes") if AUTO in n["metadata"]["labels"]]
    zones = [f"{context.facts.region}{letter}" for letter in _ZONES]
    used = [n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in auto_nodes]
    zone = selector.get("topology.kubernetes.io/zone") or min(
        zones, key=lambda z: (used.count(z), z)
    )
    family = "c6g" if architecture == "arm64" else "c6a"
    identifier = f"i-{secrets.token_hex(9)[:17]}"
    size = _smallest_size(pod, family)
    if size is None:
        return None
    facts = NodeFacts(
        name=identifier,
        instance_id=identifier,
        instance_type=f"{family}.{size}",
        architecture=architecture,
        zone=zone,
        capacity_type="ON_DEMAND",
        version=context.facts.version,
        private_ip=f"10.0.{len(auto_nodes) % 250}.{10 + secrets.randbelow(200)}",
    )
    labels = {
        AUTO: "auto",
        "karpenter.sh/nodepool": pool,
        "karpenter.sh/capacity-type": "on-demand",
    }
    return context.create("v1", "Node", "", node_object(facts, "", labels))


def _node_pool(context: ControllerContext, architecture: str) -> str | None:
    """Return the node pool of an architecture.

    The built-in pool creates amd64 nodes; others need a NodePool that names their architecture
    (https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html).
    """
    if architecture == "amd64":
        return "general-purpose"
    for pool in context.list_objects("nodepools.karpenter.sh"):
        for rule in pool["spec"]["template"]["spec"].get("requirements") or ():
            if rule.get("key") == "kubernetes.io/arch" and architecture in rule.get("values", ()):
                return str(pool["metadata"]["name"])
    return None


def _patch_version(version: str) -> str:
    """Return a version with its patch number, which Auto Mode's nodes lack."""
    return version if version.count(".") == 2 else f"{version}.0"


def _smallest_size(pod: Mapping[str, Any], family: str) -> str | None:
    cpu, memory = (
        pod_total(pod["spec"], "requests", "cpu"),
        pod_total(pod["spec"], "requests", "memory"),
    )
    for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"):
        cpus, gib, _ = capacity(f"{family}.{size}")
        if cpu <= cpus - 1 and memory <= (gib - 1) * 2**30:
            return size
    return None


def remove_idle(context: ControllerContext) -> None:
    """Delete the Auto Mode nodes without pods."""
    busy = {pod["spec"].get("nodeName") for pod in context.list_objects("pods")}
    for item in context.list_objects("nodes"):
        if AUTO in item["metadata"]["labels"] and item["metadata"]["name"] not in busy:
            context.delete(item)


def taints(item: Mapping[str, Any]) -> list[Taint]:
    """Return a node's taints, including that of a cordoned node."""
    node_taints = [
        Taint(key=t["key"], value=t.get("value", ""), effect=t["effect"])
        for t in item["spec"].get("taints") or ()
    ]
    if item["spec"].get("unschedulable"):
        node_taints.append(
            Taint(key="node.kubernetes.io/unschedulable", value="", effect="NoSchedule")
        )
    return node_taints
