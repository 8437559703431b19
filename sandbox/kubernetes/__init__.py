"""The Kubernetes API server and controllers of the emulated EKS, without containers."""
