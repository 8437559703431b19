"""EKS cluster with compute, add-ons and access entries."""

from components.cluster.args import ClusterArgs
from components.cluster.component import Cluster
from components.cluster.versions import look_up_versions

__all__ = ["Cluster", "ClusterArgs", "look_up_versions"]
