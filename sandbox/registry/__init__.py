"""The container registry behind the emulated ECR."""

from sandbox.contracts.image_repositories import RegistryError
from sandbox.registry.server import Registry

__all__ = ["Registry", "RegistryError"]
