"""What surrounds the pods: traffic denied except what is listed, and a bound on what the namespace may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

if TYPE_CHECKING:
    from components.workload import WorkloadArgs

# Where the Pod Identity agent answers on every node
# (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html).
POD_IDENTITY_AGENT = "169.254.170.23/32"


def network_policies(
    name: str, args: WorkloadArgs, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Deny everything in the namespace, then allow the service its callers, DNS, and what it was told to reach."""
    allowed: list[Any] = [
        {
            "to": [
                {"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}}},
                {"ip_block": {"cidr": args.service_cidr}},
            ],
            "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
        }
    ]
    if args.network_ports:
        allowed.append(
            {
                "to": [{"ip_block": {"cidr": args.vpc_cidr}}],
                "ports": [{"protocol": "TCP", "port": port} for port in args.network_ports],
            }
        )
    if args.readable_secret_arns:
        # Secrets Manager answers on public addresses, or in the VPC where it has an endpoint.
        allowed += [
            {"to": [{"ip_block": {"cidr": POD_IDENTITY_AGENT}}], "ports": [{"protocol": "TCP", "port": 80}]},
            {"to": [{"ip_block": {"cidr": "0.0.0.0/0"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        ]
    return [
        k8s.networking.v1.NetworkPolicy(
            f"{name}-default-deny",
            metadata={"name": "default-deny", "namespace": namespace},
            spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
            opts=opts,
        ),
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={
                "pod_selector": {"match_labels": {"app.kubernetes.io/name": name}},
                "policy_types": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from_": [{"ip_block": {"cidr": cidr}} for cidr in (args.vpc_cidr, *args.exposure.callers)],
                        "ports": [{"protocol": "TCP", "port": args.port}],
                    }
                ],
                "egress": allowed,
            },
            opts=opts,
        ),
    ]


def quota(
    name: str, args: WorkloadArgs, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> k8s.core.v1.ResourceQuota:
    """Room for every replica twice, so that a roll-out fits, and for one load balancer."""
    pods = 2 * args.maximum
    return k8s.core.v1.ResourceQuota(
        name,
        metadata={"name": name, "namespace": namespace},
        spec={
            "hard": {
                "pods": str(pods),
                "requests.cpu": f"{pods * args.cpu_millicores}m",
                "requests.memory": f"{pods * args.memory_mib}Mi",
                "limits.memory": f"{pods * args.memory_mib}Mi",
                "services.loadbalancers": "1",
            }
        },
        opts=opts,
    )
