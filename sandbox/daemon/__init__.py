"""The background process that serves the account, Kubernetes, the registry and the providers."""
