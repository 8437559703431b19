"""Container image of the service and its repositories."""

from components.image.args import ImageArgs
from components.image.build_context import ContextError
from components.image.component import Image

__all__ = ["ContextError", "Image", "ImageArgs"]
