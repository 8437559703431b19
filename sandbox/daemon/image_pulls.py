"""Checks whether nodes can pull an image from the registry behind ECR."""

from __future__ import annotations

from pathlib import Path

from sandbox.images import placeholder
from sandbox.registry import Registry, RegistryError


class PullCheck:
    """Checks images of the sandbox's registry; others cannot be looked up and are accepted."""

    def __init__(self, registry: Registry, home: Path) -> None:
        self._registry, self._home = registry, home

    def __call__(self, image: str, architecture: str) -> str | None:
        """Return None if nodes of the architecture can run the image, else the reason in the
        kubelet's words.
        """
        host, _, rest = image.partition("/")
        if host != self._registry.host:
            return None
        repository, at, digest = rest.partition("@")
        name, _, tag = repository.partition(":")
        if at and placeholder.exists(self._home, digest):
            return None
        try:
            built_for = self._registry.architecture(name, digest or tag or "latest")
        except RegistryError as error:
            return (
                f'failed to pull and unpack image "{image}": failed to resolve reference: '
                f"{error.message}"
            )
        if built_for and built_for != architecture:
            return (
                f'failed to pull and unpack image "{image}": no match for platform '
                f"linux/{architecture} in its manifest (it is for {built_for})"
            )
        return None
