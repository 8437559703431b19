"""The Kubernetes API server and controllers of the emulated EKS, without containers."""

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
