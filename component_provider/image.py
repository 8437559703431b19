"""Image with flat arguments."""

from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict, cast

import pulumi

from components import image

REPOSITORY_KEYS = (
    "repository_url",
    "repository_name",
    "repository_arn",
    "proven_url",
    "proven_name",
    "proven_arn",
    "cache_url",
    "cache_arn",
)
"""Keys of the output `repositories`, which a pipeline plans before the repositories exist."""


class ImageArgs(TypedDict):
    """Arguments of Image."""

    prefix: str
    """Prefix of the repositories' names."""
    context: str
    """Folder of the build context, relative to the program."""
    dockerfile: NotRequired[str]
    """Dockerfile within the context."""
    architecture: NotRequired[str]
    """`amd64` or `arm64`."""
    keep: int
    """Number of images that a repository keeps."""
    protected: NotRequired[bool]
    """Refuse deletion."""


@dataclass(frozen=True, kw_only=True)
class _ImageSettings:
    context: str
    dockerfile: str
    keep: int
    build_arguments: dict[str, str] = field(default_factory=dict)


class Image(pulumi.ComponentResource):
    """Container image in ECR, built when its content changes."""

    reference: pulumi.Output[str]
    """Repository and digest."""
    repository_url: pulumi.Output[str]
    """Registry and repository."""
    repositories: pulumi.Output[dict[str, str]]
    """URL, name and ARN of the repositories of images, proven images and the build cache."""

    def __init__(
        self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Image", name, {}, opts)
        inner = image.Image(
            name,
            image.ImageArgs(
                prefix=args["prefix"],
                protected=args.get("protected", False),
                settings=_ImageSettings(
                    context=args["context"],
                    dockerfile=args.get("dockerfile", "Dockerfile"),
                    keep=int(args["keep"]),
                ),
                architecture=cast(Literal["amd64", "arm64"], args.get("architecture", "amd64")),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.reference, self.repository_url = inner.reference, inner.repository_url
        self.repositories = pulumi.Output.all(
            **{key: getattr(inner, key) for key in REPOSITORY_KEYS}
        )
        self.register_outputs({"reference": self.reference})
