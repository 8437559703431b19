"""The service's image: built once for the nodes' architecture, named by its content, used by its digest."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from components.encryption import encryption_key
from components.image.context import ContextError, content_hash
from components.place import place_of

__all__ = ["ContextError", "Image", "ImageArgs", "content_hash"]

# Tags of what Pulumi builds. They tell of the content, so that a tag which comes again tells of the same: after a change
# that was taken back, the image is pushed once more under a tag that ECR would refuse even for the same image.
_CONTENT = "content-"


PROVEN = "proven-"
"""Begins the tag that a pipeline gives to a digest whose release it has verified (app/buildspecs/verify.yml)."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """What an image needs to know."""

    prefix: str
    """Stage prefix; the repositories are called `<prefix>/<name>` and `<prefix>/<name>-cache`."""
    context: Path
    """Folder that is sent to the builder."""
    dockerfile: str = "Dockerfile"
    """Path of the Dockerfile within the context."""
    architecture: Literal["amd64", "arm64"]
    """Architecture of the machines that will run it."""
    build_arguments: Mapping[str, str] = field(default_factory=dict)
    """Values for the Dockerfile's ARG lines, such as BASE_IMAGE."""
    keep_images: int = 30
    """Number of images that the lifecycle policy leaves in the repository: of proven ones, and of the rest."""
    protected: bool = False
    """Refuse to delete repositories, and images with them."""


class Image(pulumi.ComponentResource):
    """Guarantees immutable tags for all but what it builds itself (whose tags are hashes of the content), a scan on every push, encryption under a key of its own and bounded growth; builds only
    when the content changes, and never in a preview.

    Refuses to know what runs the image. The cache repository is mutable, so that the image repository needn't be.
    Raises ContextError if there is nothing to build.
    """

    repository_url: pulumi.Output[str]
    """Where images are pushed: registry and repository, without tag."""
    repository_name: pulumi.Output[str]
    repository_arn: pulumi.Output[str]
    cache_url: pulumi.Output[str]
    """Where builds keep their layers."""
    cache_arn: pulumi.Output[str]
    tag: str
    """`content-` and a hash of the content."""
    reference: pulumi.Output[str]
    """`repository@sha256:…`: the only name under which the image is used."""

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Image", name, {}, opts)
        self._name, self._args = name, args
        platform = f"linux/{args.architecture}"
        content = content_hash(args.context, args.dockerfile, {**args.build_arguments, "platform": platform})
        self.tag = f"{_CONTENT}{content}"

        key = encryption_key(
            name,
            place=place_of(self),
            purpose=f"Images in {args.prefix}/{name}",
            alias=f"{args.prefix}-{name}",
            protected=args.protected,
            parent=self,
        )
        repository = self._repository("", "IMMUTABLE_WITH_EXCLUSION", args.keep_images, key)
        cache = self._repository("-cache", "MUTABLE", 5, key)
        self.repository_url, self.repository_name = repository.repository_url, repository.name
        self.repository_arn = repository.arn
        self.cache_url, self.cache_arn = cache.repository_url, cache.arn

        image = docker.Image(
            name,
            image_name=pulumi.Output.concat(repository.repository_url, ":", self.tag),
            build=docker.DockerBuildArgs(
                context=str(args.context),
                dockerfile=str(args.context / args.dockerfile),
                platform=platform,
                args=dict(args.build_arguments),
            ),
            build_on_preview=False,
            registry=self._registry(repository),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reference = image.repo_digest
        self.register_outputs({"reference": self.reference})

    def _repository(self, suffix: str, mutability: str, keep: int, key: aws.kms.Key) -> aws.ecr.Repository:
        name = f"{self._name}{suffix}"
        repository = aws.ecr.Repository(
            name,
            name=f"{self._args.prefix}/{name}",
            image_tag_mutability=mutability,
            image_tag_mutability_exclusion_filters=[{"filter": f"{_CONTENT}*", "filter_type": "WILDCARD"}]
            if mutability == "IMMUTABLE_WITH_EXCLUSION"
            else None,
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
            force_delete=not self._args.protected,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protected),
        )
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=pulumi.Output.json_dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": "Untagged images are leftovers of failed pushes",
                            "selection": {
                                "tagStatus": "untagged",
                                "countType": "sinceImagePushed",
                                "countUnit": "days",
                                "countNumber": 7,
                            },
                            "action": {"type": "expire"},
                        },
                        {
                            "rulePriority": 2,
                            "description": f"The last {keep} proven images wait for promotion, whatever else is pushed",
                            "selection": {
                                "tagStatus": "tagged",
                                "tagPrefixList": [PROVEN],
                                "countType": "imageCountMoreThan",
                                "countNumber": keep,
                            },
                            "action": {"type": "expire"},
                        },
                        {
                            "rulePriority": 3,
                            "description": f"The last {keep} images are enough to roll back to",
                            "selection": {
                                "tagStatus": "any",
                                "countType": "imageCountMoreThan",
                                "countNumber": keep,
                            },
                            "action": {"type": "expire"},
                        },
                    ]
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return repository

    def _registry(self, repository: aws.ecr.Repository) -> docker.RegistryArgs:
        """Twelve hours of access to the registry; a secret, although it never outlives the state by much."""
        token = aws.ecr.get_authorization_token_output(
            registry_id=repository.registry_id, opts=pulumi.InvokeOptions(parent=self)
        )
        return docker.RegistryArgs(
            server=repository.repository_url,
            username="AWS",
            password=pulumi.Output.secret(token.authorization_token.apply(_password)),
        )


def _password(token: str) -> str:
    """The password of an ECR token, which is base64 of `AWS:password`."""
    return base64.b64decode(token).decode().partition(":")[2]
