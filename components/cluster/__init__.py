"""EKS cluster with compute, add-ons and access entries."""

from components.cluster.args import ClusterArgs
from components.cluster.component import Cluster

__all__ = ["Cluster", "ClusterArgs"]
