"""Workload with flat arguments, in the cluster of a kubeconfig."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s

from component_provider.database import PORT, SECRET_VARIABLE, VARIABLES
from component_provider.subnets import Subnets
from components import workload

Exposure = Literal["internal", "load-balancer", "ingress"]


class WorkloadArgs(TypedDict):
    """Arguments of Workload."""

    kubeconfig: pulumi.Input[str]
    """Kubeconfig of the cluster."""
    cluster_name: pulumi.Input[str]
    """Name of the cluster in EKS."""
    cluster_arn: pulumi.Input[str]
    """ARN of the cluster."""
    service_cidr: str
    """IPv4 network of Kubernetes Services."""
    vpc_cidr: str
    """IPv4 network of the VPC."""
    auto_mode: NotRequired[bool]
    """Whether the cluster is in EKS Auto Mode, which has load balancer controllers of its own."""
    image: pulumi.Input[str]
    """Image by digest."""
    architecture: NotRequired[str]
    """CPU architecture of the image: `amd64` or `arm64`."""
    namespace: str
    """Kubernetes namespace, owned by the workload."""
    port: NotRequired[int]
    """HTTP port of the container; 8080 by default."""
    minimum: int
    """Minimum number of replicas."""
    maximum: int
    """Maximum number of replicas."""
    cpu_millicores: int
    """CPU request per pod."""
    memory_mib: int
    """Memory request and limit per pod."""
    exposure: NotRequired[str]
    """`internal`, the default, or `load-balancer`."""
    allowed_cidrs: NotRequired[list[str]]
    """Networks outside the VPC that may call the service."""
    environment: NotRequired[dict[str, str]]
    """Environment variables."""
    database_environment: NotRequired[pulumi.Input[dict[str, str]]]
    """Output `environment` of a Database, which the pods may reach."""
    database_key_arn: NotRequired[pulumi.Input[str]]
    """Output `keyArn` of that Database."""


@dataclass(frozen=True, kw_only=True)
class _Exposure:
    kind: Exposure
    allowed_cidrs: Sequence[str]
    certificate_arn: str | None = None
    host: str | None = None
    ingress_class: str | None = None


@dataclass(frozen=True, kw_only=True)
class _WorkloadSettings:
    namespace: str
    port: int
    minimum: int
    maximum: int
    cpu_millicores: int
    memory_mib: int
    exposure: _Exposure
    cpu_target_percent: int = 70
    environment: Mapping[str, str] = field(default_factory=dict)
    migration: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    service_cidr: str
    load_balancer_class: str | None
    ingress_controller: str | None
    control_plane: pulumi.Resource | None = None
    """The program that uses the kubeconfig may outlive the cluster, and the reverse."""
    compute: Sequence[pulumi.Resource] = ()


@dataclass(frozen=True, kw_only=True)
class _Database:
    secret_arns: Sequence[pulumi.Input[str]]
    key_arns: Sequence[pulumi.Input[str]]
    ports: Sequence[int]
    environment: Mapping[str, pulumi.Input[str]]


def _database(args: WorkloadArgs) -> _Database:
    if "database_environment" not in args:
        return _Database(secret_arns=[], key_arns=[], ports=[], environment={})
    values = pulumi.Output.from_input(args["database_environment"])
    return _Database(
        secret_arns=[values[SECRET_VARIABLE]],
        key_arns=[args["database_key_arn"]] if "database_key_arn" in args else [],
        ports=[PORT],
        environment={name: values[name] for name in VARIABLES},
    )


class Workload(pulumi.ComponentResource):
    """Service in a namespace at the restricted pod security level, with network policies."""

    url: pulumi.Output[str]
    """URL of the service."""

    def __init__(
        self, name: str, args: WorkloadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Workload", name, {}, opts)
        auto_mode = args.get("auto_mode", False)
        provider = k8s.Provider(
            name, kubeconfig=args["kubeconfig"], opts=pulumi.ResourceOptions(parent=self)
        )
        inner = workload.Workload(
            name,
            workload.WorkloadArgs(
                settings=_WorkloadSettings(
                    namespace=args["namespace"],
                    port=int(args.get("port", 8080)),
                    minimum=int(args["minimum"]),
                    maximum=int(args["maximum"]),
                    cpu_millicores=int(args["cpu_millicores"]),
                    memory_mib=int(args["memory_mib"]),
                    exposure=_Exposure(
                        kind=cast(Exposure, args.get("exposure", "internal")),
                        allowed_cidrs=args.get("allowed_cidrs") or [],
                    ),
                ),
                cluster=_Cluster(
                    cluster_name=args["cluster_name"],
                    cluster_arn=args["cluster_arn"],
                    service_cidr=args["service_cidr"],
                    load_balancer_class="eks.amazonaws.com/nlb" if auto_mode else None,
                    ingress_controller="eks.amazonaws.com/alb" if auto_mode else None,
                ),
                network=Subnets(vpc_id="", cidr=args["vpc_cidr"], private_subnet_ids=()),
                database=_database(args),
                image=args["image"],
                architecture=cast(Literal["amd64", "arm64"], args.get("architecture", "amd64")),
                environment=args.get("environment") or {},
                secrets={},
            ),
            pulumi.ResourceOptions(parent=self, providers=[provider]),
        )
        self.url = inner.url
        self.register_outputs({"url": self.url})
