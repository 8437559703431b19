"""What EKS Auto Mode has to be told from inside the cluster: enforce network policies, and offer Graviton machines."""

from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s


def automatic_nodes(
    name: str, architecture: Literal["amd64", "arm64"], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """What must stand before the first pod, in a cluster whose built-in node pools are enabled."""
    # Until this exists, Auto Mode stores network policies and enforces none
    # (https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html). The default NodeClass allows the rest already.
    policies = k8s.core.v1.ConfigMap(
        f"{name}-network-policies",
        metadata={"name": "amazon-vpc-cni", "namespace": "kube-system"},
        data={"enable-network-policy-controller": "true"},
        opts=opts,
    )
    return [policies] if architecture == "amd64" else [policies, _pool(name, architecture, opts)]


def _pool(name: str, architecture: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """The built-in pool `general-purpose`, which can't be changed and makes amd64 machines only, once more for another
    architecture (https://docs.aws.amazon.com/eks/latest/userguide/create-node-pool.html).
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
                "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"},
                "requirements": [
                    {"key": key, "operator": operator, "values": values}
                    for key, (operator, *values) in requirements.items()
                ],
            }
        },
        "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "30s"},
    }
    return k8s.apiextensions.CustomResource(
        f"{name}-{architecture}",
        api_version="karpenter.sh/v1",
        kind="NodePool",
        metadata={"name": architecture},
        spec=spec,
        opts=opts,
    )
