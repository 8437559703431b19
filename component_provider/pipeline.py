"""Pipeline with flat arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Never, NotRequired, TypedDict, cast

import pulumi

from component_provider.image import REPOSITORY_KEYS
from component_provider.subnets import Subnets, elements
from components import pipeline

Severity = Literal["none", "low", "medium", "high", "critical"]


class PipelineArgs(TypedDict):
    """Arguments of Pipeline."""

    prefix: str
    """Prefix of physical names; the pipeline is called `<prefix>-<name>`."""
    repository: NotRequired[str]
    """`owner/name` on GitHub; an object in S3 is the source by default."""
    branch: NotRequired[str]
    """Branch whose pushes start a release."""
    tags: NotRequired[list[str]]
    """Tag patterns that start a release, instead of a branch."""
    paths: NotRequired[list[str]]
    """Patterns of the paths whose changes start a release; all by default."""
    connection_arn: NotRequired[str]
    """Existing CodeConnections connection; one is created by default."""
    context: str
    """Build context, a folder of the source."""
    base_image: NotRequired[str]
    """Value of the Dockerfile's BASE_IMAGE."""
    architecture: NotRequired[str]
    """CPU architecture of nodes and image: `amd64` or `arm64`."""
    buildkit_image: str
    """BuildKit image of the build, by digest."""
    sbom_generator: str
    """BuildKit's generator of SBOMs, by digest."""
    promote_from: NotRequired[str]
    """ECR repository of proven images of another environment; the image is built by default."""
    signature: NotRequired[bool]
    """Whether images are signed, and unsigned ones are refused."""
    signing_key: NotRequired[str]
    """Alias of the key that signed promoted images."""
    scan: str
    """Severity from which findings prevent a release: none, low, medium, high or critical."""
    deploy: NotRequired[str]
    """`build`, the default, or `eks`, CodePipeline's own action, which needs `rollback`."""
    approval: NotRequired[bool]
    """Whether a person must approve each release."""
    rollback: NotRequired[bool]
    """Whether a failed deploy stage rolls back to the previous digest."""
    bake_minutes: NotRequired[int]
    """Minutes of requests to a new release, then the same time under alarms."""
    log_days: int
    """Retention of the build logs in days."""
    repositories: pulumi.Input[dict[str, str]]
    """Output `repositories` of an Image."""
    vpc_id: pulumi.Input[str]
    """ID of the VPC."""
    private_subnet_ids: pulumi.Input[list[str]]
    """Private subnets, one per zone."""
    zones: int
    """Number of zones, which is planned before the subnets exist."""
    cluster_name: pulumi.Input[str]
    """Name of the cluster in EKS."""
    cluster_arn: pulumi.Input[str]
    """ARN of the cluster."""
    cluster_security_group_id: pulumi.Input[str]
    """Output `securityGroupId` of the Cluster."""
    namespace: str
    """The only namespace that the pipeline may edit."""
    deployment: str
    """Deployment that is rolled out: the name of a Workload."""
    url: NotRequired[pulumi.Input[str]]
    """URL that verifies a release, from the VPC; absent for an internal service."""
    topic_arn: pulumi.Input[str]
    """Output `topicArn` of an Observability."""
    topic_key_arn: pulumi.Input[str]
    """Output `topicKeyArn` of that Observability."""
    release_alarm_names: pulumi.Input[list[str]]
    """Output `releaseAlarmNames` of that Observability."""
    release_alarms: int
    """Number of those alarms, which is planned before they exist."""
    protected: NotRequired[bool]
    """Refuse to delete buckets and keep keys as long as KMS allows."""


@dataclass(frozen=True, kw_only=True)
class _Source:
    kind: Literal["github", "s3"]
    repository: str | None
    branch: str | None
    tags: Sequence[str]
    paths: Sequence[str]
    connection_arn: str | None
    pull_requests: bool = False


@dataclass(frozen=True, kw_only=True)
class _Admission:
    signature: bool
    signing_key: str | None
    scan: Severity
    accepted_findings: Sequence[Never] = ()


@dataclass(frozen=True, kw_only=True)
class _Preview:
    """Previews of pull requests, which the program of this repository offers only."""

    enabled: bool = False
    branch: str = ""
    state_bucket: str | None = None
    state_key_arn: str | None = None
    comment_secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Infrastructure:
    """Updates of a stack by the pipeline, which the program of this repository offers only."""

    enabled: bool = False
    state_bucket: str | None = None
    state_key_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class _PipelineSettings:
    source: _Source
    promote_from: str | None
    buildkit_image: str
    sbom_generator: str
    admission: _Admission
    deploy: Literal["build", "eks"]
    approval: bool
    execution_mode: Literal["SUPERSEDED", "QUEUED"]
    rollback: bool
    bake_minutes: int
    log_days: int
    github_runner: bool = False
    preview: _Preview = _Preview()
    infrastructure: _Infrastructure = _Infrastructure()


@dataclass(frozen=True, kw_only=True)
class _Build:
    context: str
    base_image: str | None


@dataclass(frozen=True, kw_only=True)
class _Image:
    repository_url: pulumi.Input[str]
    repository_name: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    proven_url: pulumi.Input[str]
    proven_name: pulumi.Input[str]
    proven_arn: pulumi.Input[str]
    cache_url: pulumi.Input[str]
    cache_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    security_group_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class _Workload:
    namespace: str
    deployment_name: str
    outside_url: pulumi.Input[str] | None
    container_names: Sequence[str] = ()
    """Only the EKS action, which is not offered, needs them."""
    init_container_names: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Observability:
    topic_arn: pulumi.Input[str]
    topic_key_arn: pulumi.Input[str]
    release_alarm_names: Sequence[pulumi.Input[str]]


def _settings(args: PipelineArgs) -> _PipelineSettings:
    promoted = "promote_from" in args
    return _PipelineSettings(
        source=_Source(
            kind="github" if "repository" in args else "s3",
            repository=args.get("repository"),
            branch=args.get("branch"),
            tags=args.get("tags") or [],
            paths=args.get("paths") or [],
            connection_arn=args.get("connection_arn"),
        ),
        promote_from=args.get("promote_from"),
        buildkit_image=args["buildkit_image"],
        sbom_generator=args["sbom_generator"],
        admission=_Admission(
            signature=args.get("signature", True),
            signing_key=args.get("signing_key"),
            scan=cast(Severity, args["scan"]),
        ),
        deploy=cast(Literal["build", "eks"], args.get("deploy", "build")),
        approval=args.get("approval", False),
        execution_mode="QUEUED" if promoted else "SUPERSEDED",
        rollback=args.get("rollback", True),
        bake_minutes=int(args.get("bake_minutes", 0)),
        log_days=int(args["log_days"]),
    )


class Pipeline(pulumi.ComponentResource):
    """CodePipeline that tests, builds or promotes, deploys by digest and verifies."""

    pipeline_name: pulumi.Output[str]
    """Name in CodePipeline."""
    console_url: pulumi.Output[str]
    """The pipeline in the AWS console."""

    def __init__(
        self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Pipeline", name, {}, opts)
        repositories = pulumi.Output.from_input(args["repositories"])
        inner = pipeline.Pipeline(
            name,
            pipeline.PipelineArgs(
                prefix=args["prefix"],
                stack=pulumi.get_stack(),
                protected=args.get("protected", False),
                settings=_settings(args),
                build=_Build(context=args["context"], base_image=args.get("base_image")),
                architecture=cast(Literal["amd64", "arm64"], args.get("architecture", "amd64")),
                image=_Image(**{key: repositories[key] for key in REPOSITORY_KEYS}),
                network=Subnets(
                    vpc_id=args["vpc_id"],
                    private_subnet_ids=elements(args["private_subnet_ids"], int(args["zones"])),
                ),
                cluster=_Cluster(
                    cluster_name=args["cluster_name"],
                    cluster_arn=args["cluster_arn"],
                    security_group_id=args["cluster_security_group_id"],
                ),
                workload=_Workload(
                    namespace=args["namespace"],
                    deployment_name=args["deployment"],
                    outside_url=args.get("url"),
                ),
                observability=_Observability(
                    topic_arn=args["topic_arn"],
                    topic_key_arn=args["topic_key_arn"],
                    release_alarm_names=elements(
                        args["release_alarm_names"], int(args["release_alarms"])
                    ),
                ),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.console_url = inner.pipeline_name, inner.console_url
        self.register_outputs({"pipeline_name": self.pipeline_name})
