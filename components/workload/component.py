"""The service in Kubernetes: namespace, pods, policies, identity and exposure."""

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from components.workload.args import WorkloadArgs
from components.workload.deployment import (
    MIGRATION,
    autoscaler,
    deployment,
    disruption_budget,
)
from components.workload.network_policy import network_policies
from components.workload.pod_identity import pod_identity
from components.workload.quota import quota
from components.workload.service import expose

__all__ = ["Workload"]

POD_SECURITY_MODES = ("enforce", "audit", "warn")


class Workload(pulumi.ComponentResource):
    """Service in a namespace at the restricted pod security level.

    Its pod identity reads the named secrets only; network policies deny all other traffic.
    The autoscaler owns the replicas, and the pipeline owns the image after the first roll-out.
    Load balancers are deleted through Kubernetes; everything else is deleted with the cluster.
    Does not own the cluster, load-balancer controllers and DNS names.
    """

    url: pulumi.Output[str]
    """URL of the service."""
    outside_url: pulumi.Output[str] | None
    """URL for callers outside the cluster; None if the service is internal."""
    namespace: str
    deployment_name: str
    """Deployment that the pipeline rolls out."""
    container_names: tuple[str, ...]
    init_container_names: tuple[str, ...]
    """Containers of the Deployment, which all run the service's image."""

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Workload", name, {}, opts)
        settings, cluster, database = args.settings, args.cluster, args.database
        self.namespace, self.deployment_name = settings.namespace, name
        self.container_names = (name,)
        self.init_container_names = (MIGRATION,) if settings.migration else ()
        labels = {"app.kubernetes.io/name": name}
        in_cluster = pulumi.ResourceOptions(parent=self, deleted_with=cluster.control_plane)

        namespace = k8s.core.v1.Namespace(
            name,
            metadata={
                "name": settings.namespace,
                "labels": {
                    f"pod-security.kubernetes.io/{mode}": "restricted"
                    for mode in POD_SECURITY_MODES
                },
            },
            opts=in_cluster,
        ).metadata.name
        callers = [*settings.exposure.allowed_cidrs, *args.network.nat_cidrs]
        policies = network_policies(
            name,
            namespace=namespace,
            labels=labels,
            port=settings.port,
            caller_cidrs=[args.network.cidr, *callers],
            vpc_cidr=args.network.cidr,
            vpc_ports=database.ports,
            service_cidr=cluster.service_cidr,
            reads_secrets=bool(database.secret_arns),
            opts=in_cluster,
        )
        limits = quota(
            name,
            namespace=namespace,
            maximum_replicas=settings.maximum,
            cpu_millicores=settings.cpu_millicores,
            memory_mib=settings.memory_mib,
            opts=in_cluster,
        )
        service_account = k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": name, "namespace": namespace},
            automount_service_account_token=False,
            opts=in_cluster,
        )
        identity = pod_identity(
            name,
            namespace=settings.namespace,
            cluster_name=cluster.cluster_name,
            cluster_arn=cluster.cluster_arn,
            secret_arns=database.secret_arns,
            key_arns=database.key_arns,
            parent=self,
        )
        pods = deployment(
            name,
            settings,
            image=args.image,
            architecture=args.architecture,
            environment={**args.environment, **settings.environment, **database.environment},
            namespace=namespace,
            labels=labels,
            service_account=service_account.metadata.name,
            secret=_secret(name, args.secrets, namespace, in_cluster),
            opts=pulumi.ResourceOptions.merge(
                in_cluster,
                pulumi.ResourceOptions(depends_on=[*policies, limits, *identity, *cluster.compute]),
            ),
        )
        if settings.minimum != settings.maximum:
            autoscaler(name, settings, namespace, in_cluster)
        before_compute = pulumi.ResourceOptions(parent=self, depends_on=[*cluster.compute])
        # Not deleted with the cluster: a drain of the last nodes would wait for the budget.
        disruption_budget(name, labels, namespace, before_compute)
        # Not deleted with the cluster: only Kubernetes can delete its load balancer, and only
        # while the cluster still runs.
        self.url = expose(
            name,
            settings.exposure,
            caller_cidrs=callers,
            load_balancer_class=cluster.load_balancer_class,
            ingress_controller=cluster.ingress_controller,
            namespace_name=settings.namespace,
            namespace=namespace,
            labels=labels,
            port=settings.port,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*cluster.compute, pods]),
        )
        self.outside_url = None if settings.exposure.kind == "internal" else self.url
        self.register_outputs({"url": self.url})


def _secret(
    name: str,
    secrets: Mapping[str, pulumi.Input[str]],
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> k8s.core.v1.Secret | None:
    """Create the Secret, auto-named and immutable: a new value replaces it and rolls out pods."""
    if not secrets:
        return None
    return k8s.core.v1.Secret(
        name,
        metadata={"namespace": namespace},
        string_data={key: pulumi.Output.secret(value) for key, value in secrets.items()},
        immutable=True,
        opts=opts,
    )
