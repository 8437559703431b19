"""Arguments of the image component."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


class ImageSettings(Protocol):
    """Section `image` of the stack file."""

    @property
    def context(self) -> str:
        """Build context: a folder relative to the program."""

    @property
    def dockerfile(self) -> str:
        """Path of the Dockerfile within the context."""

    @property
    def build_arguments(self) -> Mapping[str, str]:
        """Values of the Dockerfile's ARG instructions."""

    @property
    def keep(self) -> int:
        """Number of images, and number of proven images, that the lifecycle policies keep."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """Arguments of `Image`."""

    prefix: str
    """Prefix of physical names; the repositories are `<prefix>/<name>`, `-proven` and `-cache`."""
    protected: bool
    """Refuse to delete repositories that contain images."""
    settings: ImageSettings
    architecture: Literal["amd64", "arm64"]
    """CPU architecture of the machines that run the image."""
    build_once: bool = False
    """Build the first image only, because a pipeline that also updates the stack builds the others.
    """
