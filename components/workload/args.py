"""Arguments of the workload component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pulumi

Architecture = Literal["amd64", "arm64"]


class ExposureSettings(Protocol):
    """Section `workload.exposure`: how callers reach the service."""

    @property
    def kind(self) -> Literal["internal", "load-balancer", "ingress"]:
        """Inside the cluster only, network load balancer, or Ingress."""

    @property
    def allowed_cidrs(self) -> Sequence[str]:
        """Networks outside the VPC that may call the service."""

    @property
    def certificate_arn(self) -> str | None:
        """ACM certificate for TLS; None serves plain HTTP."""

    @property
    def host(self) -> str | None:
        """DNS name of the service; required by an Ingress and by a certificate."""

    @property
    def ingress_class(self) -> str | None:
        """Class of the Ingress."""


class WorkloadSettings(Protocol):
    """Section `workload` of the stack file."""

    @property
    def namespace(self) -> str:
        """Kubernetes namespace, owned by the workload."""

    @property
    def port(self) -> int:
        """HTTP port of the container."""

    @property
    def minimum(self) -> int:
        """Minimum number of replicas."""

    @property
    def maximum(self) -> int:
        """Maximum number of replicas; equal to `minimum` for a fixed number."""

    @property
    def cpu_target_percent(self) -> int:
        """Target of the autoscaler, in percent of the CPU request."""

    @property
    def cpu_millicores(self) -> int:
        """CPU request per pod. No CPU limit: it would throttle pods on idle machines."""

    @property
    def memory_mib(self) -> int:
        """Memory request and limit per pod."""

    @property
    def exposure(self) -> ExposureSettings:
        """How callers reach the service."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Plain environment variables."""

    @property
    def migration(self) -> Sequence[str]:
        """Schema migration command; must be idempotent and safe to run concurrently."""


class WorkloadCluster(Protocol):
    """Outputs of the cluster component that a workload needs."""

    @property
    def cluster_name(self) -> pulumi.Input[str]:
        """Name in EKS."""

    @property
    def cluster_arn(self) -> pulumi.Input[str]:
        """ARN in EKS."""

    @property
    def service_cidr(self) -> str:
        """IPv4 network of Kubernetes Services, which contains the DNS server."""

    @property
    def load_balancer_class(self) -> str | None:
        """Class of Services of type LoadBalancer; None for the built-in controller."""

    @property
    def ingress_controller(self) -> str | None:
        """Built-in controller for Ingresses, if any."""

    @property
    def control_plane(self) -> pulumi.Resource | None:
        """Objects in the cluster are deleted with it; None for a cluster of another program."""

    @property
    def compute(self) -> Sequence[pulumi.Resource]:
        """Resources that pods depend on."""


class WorkloadNetwork(Protocol):
    """Outputs of the network component that a workload needs."""

    @property
    def cidr(self) -> str:
        """IPv4 network of the VPC."""

    @property
    def nat_cidrs(self) -> Sequence[pulumi.Input[str]]:
        """Addresses from which the platform itself calls the service, to verify a release."""


class WorkloadDatabase(Protocol):
    """Outputs of the database component that a workload needs; all empty without a database."""

    @property
    def environment(self) -> Mapping[str, pulumi.Input[str]]:
        """Environment variables of a client."""

    @property
    def secret_arns(self) -> Sequence[pulumi.Input[str]]:
        """Secrets that the pods may read."""

    @property
    def key_arns(self) -> Sequence[pulumi.Input[str]]:
        """Keys that encrypt the secrets."""

    @property
    def ports(self) -> Sequence[int]:
        """Ports that the pods may reach in the VPC."""


@dataclass(frozen=True, kw_only=True)
class WorkloadArgs:
    """Arguments of `Workload`."""

    settings: WorkloadSettings
    cluster: WorkloadCluster
    network: WorkloadNetwork
    database: WorkloadDatabase
    image: pulumi.Input[str]
    """Image by digest, for the first roll-out; the pipeline sets the image of later ones."""
    architecture: Architecture
    """CPU architecture of the image, which the nodes must have."""
    environment: Mapping[str, pulumi.Input[str]]
    """Environment variables that the program sets, in addition to the settings'."""
    secrets: Mapping[str, pulumi.Input[str]]
    """Secret environment variables, passed through a Kubernetes Secret."""
