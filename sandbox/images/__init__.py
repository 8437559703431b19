"""Builds container images with Docker or buildah and pushes them to the sandbox's registry."""

from sandbox.images.build_request import BuildError, BuildRequest, BuildResult
from sandbox.images.builder import Builder, image_cache
from sandbox.images.push import Destination

__all__ = ["BuildError", "BuildRequest", "BuildResult", "Builder", "Destination", "image_cache"]
