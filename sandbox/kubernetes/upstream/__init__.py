"""EKS clusters whose Kubernetes API is another API server: a control plane or a kubeconfig's."""
