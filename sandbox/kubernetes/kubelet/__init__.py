"""The kubelet of all nodes of a cluster."""

from sandbox.kubernetes.kubelet.kubelet import Kubelet

__all__ = ["Kubelet"]
