"""The nodes of managed node groups, as the cluster host gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex
from sandbox.account.services.eks import catalog, clusters
from sandbox.contracts.cluster_host import NodeFacts, Taint

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext

_EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


def place(context: RequestContext, record: Record) -> None:
    """Create the desired number of nodes over the subnets and report them to the cluster host."""
    instances, desired = record["_instances"], record["scalingConfig"]["desiredSize"]
    zones = subnets(context, record)
    while len(instances) < desired:
        subnet = zones[len(instances) % len(zones)]
        address = (
            subnet.cidr_block.partition("/")[0].rsplit(".", 1)[0]
            + f".{20 + (int(random_hex(8), 16) % 230)}"
        )
        instances.append(
            {"id": f"i-{random_hex(17)}", "ip": address, "zone": subnet.availability_zone}
        )
    del instances[desired:]
    if not context.replaying:
        context.clusters.set_nodes(record["_arn"], record["nodegroupName"], of(record))


def subnets(context: RequestContext, record: Record) -> list[Any]:
    """Return the existing subnets of a group."""
    named = (
        moto_backends.subnet(context, record["_region"], subnet_id)
        for subnet_id in record["subnets"]
    )
    return [subnet for subnet in named if subnet is not None]


def of(record: Record) -> list[NodeFacts]:
    """Return the nodes of an active group."""
    domain = (
        "ec2.internal"
        if record["_region"] == "us-east-1"
        else f"{record['_region']}.compute.internal"
    )
    arm = catalog.is_arm(record["_instance_type"])
    labels = {
        **record["labels"],
        "eks.amazonaws.com/nodegroup": record["nodegroupName"],
        "eks.amazonaws.com/capacityType": record["capacityType"],
    }
    taints = tuple(
        Taint(key=t["key"], value=t.get("value") or "", effect=_EFFECTS[t["effect"]])
        for t in record["taints"]
    )
    patch = record["releaseVersion"].partition("-")[0] or catalog.RELEASES[record["version"]].patch
    return [
        NodeFacts(
            name=f"ip-{instance['ip'].replace('.', '-')}.{domain}",
            instance_id=instance["id"],
            instance_type=record["_instance_type"],
            architecture="arm64" if arm else "amd64",
            zone=instance["zone"],
            capacity_type=record["capacityType"],
            version=patch,
            private_ip=instance["ip"],
            labels=labels,
            taints=taints,
        )
        for instance in record["_instances"]
    ]


def all_nodes(context: RequestContext) -> Iterator[tuple[str, str, list[NodeFacts]]]:
    """Yield cluster ARN, group name and nodes of every group with nodes."""
    for record in context.table("eks.nodegroup").values():
        if record["_instances"]:
            yield record["_arn"], record["nodegroupName"], of(record)


def reconcile(context: RequestContext) -> None:
    """Report clusters and nodes to the cluster host after a replay of the journal."""
    context.clusters.reconcile(clusters.all_facts(context))
    for arn, group, nodes in all_nodes(context):
        context.clusters.set_nodes(arn, group, nodes)
