"""Objects that EKS Auto Mode needs in the cluster: network policy switch and Graviton node pool."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.cluster.args import Architecture


def auto_mode_objects(
    name: str, architecture: Architecture, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Create the objects that must exist before the first pod."""
    # Without it, Auto Mode stores network policies and does not enforce them
    # (https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html).
    # The default NodeClass allows the enforcement already.
    network_policy_switch = k8s.core.v1.ConfigMap(
        f"{name}-network-policies",
        metadata={"name": "amazon-vpc-cni", "namespace": "kube-system"},
        data={"enable-network-policy-controller": "true"},
        opts=opts,
    )
    if architecture == "amd64":
        return [network_policy_switch]
    return [network_policy_switch, _node_pool(name, architecture, opts)]


def _node_pool(
    name: str, architecture: Architecture, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Create a copy of the built-in pool `general-purpose` for another architecture.

    The built-in pool is immutable and offers amd64 only
    (https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html).
    """
    requirements = {
        "kubernetes.io/arch": ("In", architecture),
        "karpenter.sh/capacity-type": ("In", "on-demand"),
        "eks.amazonaws.com/instance-category": ("In", "c", "m", "r"),
        "eks.amazonaws.com/instance-generation": ("Gt", "4"),
    }
    spec: dict[str, Any] = {
        "template": {
            "spec": {
                "nodeClassRef": {
                    "group": "eks.amazonaws.com",
                    "kind": "NodeClass",
                    "name": "default",
                },
                "requirements": [
                    {"key": key, "operator": operator, "values": values}
                    for key, (operator, *values) in requirements.items()
                ],
            }
        },
        "disruption": {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "30s",
        },
    }
    return k8s.apiextensions.CustomResource(
        f"{name}-{architecture}",
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata={"name": architecture},
        spec=spec,
        opts=opts,
    )
