"""EKS clusters whose Kubernetes API is another API server: a control plane or a kubeconfig's."""

from sandbox.kubernetes.upstream.cluster import UpstreamCluster
from sandbox.kubernetes.upstream.forwarding import ForwardingHandler
from sandbox.kubernetes.upstream.kubeconfig import Upstream, UpstreamError
from sandbox.kubernetes.upstream.preflight import check

__all__ = ["ForwardingHandler", "Upstream", "UpstreamCluster", "UpstreamError", "check"]
