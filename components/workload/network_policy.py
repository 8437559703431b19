"""NetworkPolicies: deny all traffic of the namespace, then allow the service's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

# Address of the Pod Identity agent on every node
# (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html).
POD_IDENTITY_AGENT = "169.254.170.23/32"


def network_policies(
    name: str,
    *,
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    port: int,
    caller_cidrs: Sequence[pulumi.Input[str]],
    vpc_cidr: str,
    vpc_ports: Sequence[int],
    service_cidr: str,
    reads_secrets: bool,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Allow callers, DNS, `vpc_ports` in the VPC and, with `reads_secrets`, Secrets Manager."""
    kube_system: Any = {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}}
    egress: list[Any] = [
        {
            "to": [{"namespace_selector": kube_system}, {"ip_block": {"cidr": service_cidr}}],
            "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
        }
    ]
    if vpc_ports:
        egress.append(_to(vpc_cidr, vpc_ports))
    if reads_secrets:
        # Secrets Manager has public addresses, or addresses in the VPC where it has an endpoint.
        egress += [_to(POD_IDENTITY_AGENT, [80]), _to("0.0.0.0/0", [443])]
    ingress: Any = {
        "from_": [{"ip_block": {"cidr": cidr}} for cidr in caller_cidrs],
        "ports": [{"protocol": "TCP", "port": port}],
    }
    policy_types = ["Ingress", "Egress"]
    return [
        k8s.networking.v1.NetworkPolicy(
            f"{name}-default-deny",
            metadata={"name": "default-deny", "namespace": namespace},
            spec={"pod_selector": {}, "policy_types": policy_types},
            opts=opts,
        ),
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": policy_types,
                "ingress": [ingress],
                "egress": egress,
            },
            opts=opts,
        ),
    ]


def _to(cidr: str, ports: Sequence[int]) -> dict[str, Any]:
    return {
        "to": [{"ip_block": {"cidr": cidr}}],
        "ports": [{"protocol": "TCP", "port": port} for port in ports],
    }
