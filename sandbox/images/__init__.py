"""Builds container images in the sandbox: with a Docker engine, with buildah, or honestly not at all."""

from sandbox.images.build import Builder
from sandbox.images.build_request import BuildError, Order, Outcome
from sandbox.images.publish import Destination

__all__ = ["BuildError", "Builder", "Destination", "Order", "Outcome"]
