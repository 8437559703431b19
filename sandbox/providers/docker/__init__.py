"""The docker provider of the sandbox."""

from sandbox.providers.docker.image import IMAGE, DockerProvider, provider

__all__ = ["IMAGE", "DockerProvider", "provider"]
