"""A Kubernetes API server with validation and controllers, without containers, for the emulated EKS."""

from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.ports import (
    ExternalServices,
    ImageCheck,
    LoadBalancerError,
    LoadBalancers,
    LoadBalancerSpec,
)

__all__ = [
    "ExternalServices",
    "ImageCheck",
    "KubernetesClusterHost",
    "LoadBalancerError",
    "LoadBalancerSpec",
    "LoadBalancers",
]
