"""The service in Kubernetes: a namespace of its own, pods that may do little, and the ways in and out that they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s

from components.workload.exposure import Exposure, expose
from components.workload.identity import pod_identity
from components.workload.pods import deployment
from components.workload.walls import network_policies, quota

__all__ = ["Exposure", "Workload", "WorkloadArgs"]


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs:
    """What a workload needs to know."""

    namespace: str
    """Kubernetes namespace, which the workload owns."""
    image: pulumi.Input[str]
    """Image by digest. Used for the first roll-out; later ones belong to the pipeline."""
    architecture: Literal["amd64", "arm64"]
    """Architecture of the image: what nodes must have, and what Auto Mode makes nodes of."""
    port: int
    """Port on which the container answers HTTP."""
    minimum: int
    """Replicas that always run."""
    maximum: int
    """Replicas at most; equal to `minimum` for a fixed number without autoscaling."""
    cpu_target_percent: int = 70
    """Share of the requested CPU that autoscaling aims at."""
    cpu_millicores: int
    """CPU requested for each pod. There is no CPU limit: it would slow pods down on idle machines."""
    memory_mib: int
    """Memory requested for each pod, and its limit."""
    exposure: Exposure
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Plain environment variables."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Secret environment variables, handed over through a Kubernetes Secret."""
    migration: Sequence[str] = ()
    """Command that brings the schema up to date before each pod starts; must be safe to run twice and at once."""
    readable_secret_arns: Sequence[pulumi.Input[str]] = ()
    """Secrets Manager secrets that the pods may read by their own identity."""
    decrypt_key_arns: Sequence[pulumi.Input[str]] = ()
    """Keys of those secrets."""
    network_ports: Sequence[int] = ()
    """Ports within the VPC that the pods may reach, such as a database's."""
    vpc_cidr: str
    service_cidr: str
    """Network of Kubernetes Services, where DNS answers."""
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    control_plane: pulumi.Resource
    """What takes everything inside the cluster with it when it is deleted."""
    compute: Sequence[pulumi.Resource]
    """What pods need before they can run, and load balancers before they can be taken down."""


class Workload(pulumi.ComponentResource):
    """Guarantees the restricted pod security level, an identity that reads the named secrets only, denied traffic except
    what is listed, replicas left to the autoscaler, and an image left to the pipeline after the first roll-out.

    Load balancers are deleted through Kubernetes while the cluster can still do it; everything else goes with the cluster.
    Refuses to own the cluster, load-balancer controllers and DNS names.
    """

    url: pulumi.Output[str]
    """Where the service answers."""
    outside_url: pulumi.Output[str] | None
    """The same, for callers outside the cluster; None where there is no way in."""
    namespace: str
    deployment_name: str
    """What the pipeline rolls out."""

    def __init__(self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Workload", name, {}, opts)
        self.namespace, self.deployment_name = args.namespace, name
        inside = pulumi.ResourceOptions(parent=self, deleted_with=args.control_plane)

        namespace = k8s.core.v1.Namespace(
            name,
            metadata={
                "name": args.namespace,
                "labels": {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")},
            },
            opts=inside,
        )
        within = namespace.metadata.name
        walls = [
            *network_policies(name, args, within, inside),
            quota(name, args, within, inside),
        ]
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": name, "namespace": within},
            automount_service_account_token=False,
            opts=inside,
        )
        identity = pod_identity(name, args, self)
        secret = self._secret(name, args, within, inside)
        pods = deployment(
            name,
            args,
            namespace=within,
            service_account=account.metadata.name,
            secret=secret,
            opts=pulumi.ResourceOptions.merge(
                inside, pulumi.ResourceOptions(depends_on=[*walls, *identity, *args.compute])
            ),
        )
        self._autoscaling(name, args, within, inside)
        k8s.policy.v1.PodDisruptionBudget(
            name,
            metadata={"name": name, "namespace": within},
            spec={
                "max_unavailable": 1,
                "selector": {"match_labels": labels(name)},
                # A pod that isn't ready serves nobody: don't let it hold up a node's replacement.
                "unhealthy_pod_eviction_policy": "AlwaysAllow",
            },
            opts=inside,
        )
        # Not deleted with the cluster: only Kubernetes can take its load balancer down, and must while it still runs.
        outside = pulumi.ResourceOptions(parent=self, depends_on=[*args.compute, pods])
        self.url = expose(name, args.exposure, args.namespace, within, labels(name), args.port, outside)
        self.outside_url = None if args.exposure.kind == "internal" else self.url
        self.register_outputs({"url": self.url})

    @staticmethod
    def _secret(
        name: str, args: WorkloadArgs, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> k8s.core.v1.Secret | None:
        """Named by Pulumi and immutable: a new value makes a new Secret, and with it a roll-out."""
        if not args.secrets:
            return None
        return k8s.core.v1.Secret(
            name,
            metadata={"namespace": namespace},
            string_data={key: pulumi.Output.secret(value) for key, value in args.secrets.items()},
            immutable=True,
            opts=opts,
        )

    @staticmethod
    def _autoscaling(name: str, args: WorkloadArgs, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        if args.minimum == args.maximum:
            return
        k8s.autoscaling.v2.HorizontalPodAutoscaler(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={
                "scale_target_ref": {"api_version": "apps/v1", "kind": "Deployment", "name": name},
                "min_replicas": args.minimum,
                "max_replicas": args.maximum,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "average_utilization": args.cpu_target_percent},
                        },
                    }
                ],
            },
            opts=opts,
        )


def labels(name: str) -> dict[str, str]:
    """The labels by which the workload's pods are found."""
    return {"app.kubernetes.io/name": name}
