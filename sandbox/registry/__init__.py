"""The container registry behind the emulated ECR: OCI distribution endpoint, its storage, and ECR's rules for both."""

from sandbox.contracts.image_repositories import HeldImage, PushedImage, RefusedError, RepositoryRules
from sandbox.registry.server import Registry

__all__ = ["HeldImage", "PushedImage", "RefusedError", "Registry", "RepositoryRules"]
