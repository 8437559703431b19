"""ResourceQuota of the namespace."""

import pulumi
import pulumi_kubernetes as k8s

from components.workload import quantities


def quota(
    name: str,
    *,
    namespace: pulumi.Input[str],
    maximum_replicas: int,
    cpu_millicores: int,
    memory_mib: int,
    opts: pulumi.ResourceOptions,
) -> k8s.core.v1.ResourceQuota:
    """Limit the namespace to twice the replicas, for a roll-out, and one load balancer."""
    pods = 2 * maximum_replicas
    memory = quantities.memory(pods * memory_mib)
    return k8s.core.v1.ResourceQuota(
        name,
        metadata={"name": name, "namespace": namespace},
        spec={
            "hard": {
                "pods": str(pods),
                "requests.cpu": quantities.cpu(pods * cpu_millicores),
                "requests.memory": memory,
                "limits.memory": memory,
                "services.loadbalancers": "1",
            }
        },
        opts=opts,
    )
