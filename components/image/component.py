"""Container image: repositories, build and digest."""

import base64
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from components.aws.context import aws_context
from components.aws.kms import encryption_key
from components.image.args import ImageArgs
from components.image.build_context import content_hash

__all__ = ["Image"]

# Prefix of the tags that Pulumi pushes: mutable, because a reverted change pushes an existing tag
# again, which ECR would refuse even for the same image.
CONTENT_PREFIX = "content-"
UNTAGGED_DAYS = 7
CACHE_IMAGES = 5


class Image(pulumi.ComponentResource):
    """Image that is built when its content changes, never in a preview, and used by its digest.

    With `build_once`, later changes of the content are ignored.

    Tags are immutable except those of Pulumi's own builds, which are hashes of the content. The
    cache repository is mutable, so that the image repository need not be. Every push is scanned.
    Raises ContextError if the build context or the Dockerfile is missing.
    """

    repository_url: pulumi.Output[str]
    """Registry and repository, without tag."""
    repository_name: pulumi.Output[str]
    repository_arn: pulumi.Output[str]
    proven_url: pulumi.Output[str]
    """Repository of verified images; only the verify role of the pipeline can write to it."""
    proven_name: pulumi.Output[str]
    proven_arn: pulumi.Output[str]
    cache_url: pulumi.Output[str]
    """Repository of the build cache."""
    cache_arn: pulumi.Output[str]
    tag: str
    """`content-` and a hash of the content."""
    reference: pulumi.Output[str]
    """`repository@sha256:…`."""

    def __init__(
        self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Image", name, {}, opts)
        self._name, self._args = name, args
        settings = args.settings
        context, platform = Path(settings.context), f"linux/{args.architecture}"
        inputs = {**settings.build_arguments, "platform": platform}
        self.tag = f"{CONTENT_PREFIX}{content_hash(context, settings.dockerfile, inputs)}"

        key = encryption_key(
            name,
            context=aws_context(self),
            purpose=f"Images in {args.prefix}/{name}",
            alias=f"{args.prefix}-{name}",
            protected=args.protected,
            parent=self,
        )
        repository = self._repository(name, "IMMUTABLE_WITH_EXCLUSION", settings.keep, key)
        proven = self._repository(f"{name}-proven", "IMMUTABLE", settings.keep, key)
        cache = self._repository(f"{name}-cache", "MUTABLE", CACHE_IMAGES, key)
        self.repository_url, self.repository_name = repository.repository_url, repository.name
        self.repository_arn = repository.arn
        self.proven_url, self.proven_name = proven.repository_url, proven.name
        self.proven_arn = proven.arn
        self.cache_url, self.cache_arn = cache.repository_url, cache.arn

        image = docker.Image(
            name,
            image_name=pulumi.Output.concat(repository.repository_url, ":", self.tag),
            build=docker.DockerBuildArgs(
                context=str(context),
                dockerfile=str(context / settings.dockerfile),
                platform=platform,
                args=dict(settings.build_arguments),
            ),
            build_on_preview=False,
            registry=self._registry(repository),
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=["build", "imageName"] if args.build_once else None,
            ),
        )
        self.reference = image.repo_digest
        self.register_outputs({"reference": self.reference})

    def _repository(
        self, name: str, mutability: str, keep: int, key: aws.kms.Key
    ) -> aws.ecr.Repository:
        protected = self._args.protected
        exclusion = aws.ecr.RepositoryImageTagMutabilityExclusionFilterArgs(
            filter=f"{CONTENT_PREFIX}*", filter_type="WILDCARD"
        )
        repository = aws.ecr.Repository(
            name,
            name=f"{self._args.prefix}/{name}",
            image_tag_mutability=mutability,
            image_tag_mutability_exclusion_filters=(
                [exclusion] if mutability == "IMMUTABLE_WITH_EXCLUSION" else None
            ),
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
            force_delete=not protected,
            opts=pulumi.ResourceOptions(parent=self, protect=protected),
        )
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=_lifecycle_policy(keep),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return repository

    def _registry(self, repository: aws.ecr.Repository) -> docker.RegistryArgs:
        """Registry credentials, valid for twelve hours and secret in the state."""
        token = aws.ecr.get_authorization_token_output(
            registry_id=repository.registry_id, opts=pulumi.InvokeOptions(parent=self)
        )
        return docker.RegistryArgs(
            server=repository.repository_url,
            username="AWS",
            password=pulumi.Output.secret(token.authorization_token.apply(_password)),
        )


def _lifecycle_policy(keep: int) -> pulumi.Output[str]:
    """Lifecycle policy; ECR expires an image only by the first rule that matches it."""
    rules = (
        (
            "Untagged images are leftovers of failed pushes",
            {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
        ),
        (
            f"The last {keep} images are enough to roll back to",
            {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep},
        ),
    )
    return pulumi.Output.json_dumps(
        {
            "rules": [
                {
                    "rulePriority": priority,
                    "description": description,
                    "selection": selection,
                    "action": {"type": "expire"},
                }
                for priority, (description, selection) in enumerate(rules, 1)
            ]
        }
    )


def _password(token: str) -> str:
    """Password of an ECR token, which is base64 of `AWS:password`."""
    return base64.b64decode(token).decode().partition(":")[2]
