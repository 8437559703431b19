"""The Kubernetes provider of the sandbox, and its client."""
