"""A schema-checked Kubernetes API server behind the emulated EKS: objects, rules and controllers, but no containers."""

from __future__ import annotations

from sandbox.kubernetes.cluster_host import Fleet
from sandbox.kubernetes.ports import Hooks, ImageCheck, LoadBalancerError, LoadBalancerFacts, LoadBalancers

__all__ = ["Fleet", "Hooks", "ImageCheck", "LoadBalancerError", "LoadBalancerFacts", "LoadBalancers"]
