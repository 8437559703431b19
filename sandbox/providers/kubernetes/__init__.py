"""The Kubernetes provider of the sandbox."""

from sandbox.providers.kubernetes.provider import provider

__all__ = ["provider"]
