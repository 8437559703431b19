"""Arguments of the pipeline component."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pulumi

Architecture = Literal["amd64", "arm64"]


class SourceSettings(Protocol):
    """Section `pipeline.source`: the source that starts a release."""

    @property
    def kind(self) -> Literal["github", "s3"]:
        """GitHub through a connection, or an object in S3."""

    @property
    def repository(self) -> str | None:
        """`owner/name` on GitHub."""

    @property
    def branch(self) -> str | None:
        """Branch whose pushes start a release."""

    @property
    def tags(self) -> Sequence[str]:
        """Tag patterns that start a release, instead of a branch."""

    @property
    def connection_arn(self) -> str | None:
        """Existing CodeConnections connection; None creates one."""

    @property
    def paths(self) -> Sequence[str]:
        """Patterns of the paths whose changes start a release; empty for all."""

    @property
    def pull_requests(self) -> bool:
        """Whether pull requests against the branch are tested and built."""


class AcceptedFinding(Protocol):
    """Finding that does not prevent a release until a day."""

    @property
    def id(self) -> str:
        """Name of the finding."""

    @property
    def reason(self) -> str:
        """Why it is accepted."""

    @property
    def until(self) -> str:
        """Last day of the acceptance, YYYY-MM-DD."""


class AdmissionSettings(Protocol):
    """Section `pipeline.admission`: requirements that a digest must meet to be deployed."""

    @property
    def signature(self) -> bool:
        """Whether images are signed, and unsigned ones are refused."""

    @property
    def signing_key(self) -> str | None:
        """Alias of the key that signed promoted images; None where images are built."""

    @property
    def scan(self) -> Literal["none", "low", "medium", "high", "critical"]:
        """Severity from which findings prevent a release."""

    @property
    def accepted_findings(self) -> Sequence[AcceptedFinding]:
        """Findings that do not prevent a release."""


class PreviewSettings(Protocol):
    """Section `pipeline.preview`: previews of pull requests by CodeBuild."""

    @property
    def enabled(self) -> bool:
        """Whether CodeBuild previews pull requests."""

    @property
    def branch(self) -> str:
        """Branch whose pull requests are previewed."""

    @property
    def state_bucket(self) -> str | None:
        """Bucket of the stack's state."""

    @property
    def state_key_arn(self) -> str | None:
        """Key of the state and of the stack's secrets."""

    @property
    def comment_secret(self) -> str | None:
        """Secret with the token that writes the comment; None writes none."""


class InfrastructureSettings(Protocol):
    """Section `pipeline.infrastructure`: updates of the stack by the pipeline."""

    @property
    def enabled(self) -> bool:
        """Whether the pipeline updates the stack to the commit of a release."""

    @property
    def state_bucket(self) -> str | None:
        """Bucket of the stack's state."""

    @property
    def state_key_arn(self) -> str | None:
        """Key of the state and of the stack's secrets."""


class PipelineSettings(Protocol):
    """Section `pipeline` of the stack file."""

    @property
    def source(self) -> SourceSettings:
        """The source that starts a release."""

    @property
    def promote_from(self) -> str | None:
        """ECR repository of proven images of another environment; None builds the image."""

    @property
    def buildkit_image(self) -> str:
        """BuildKit image of the build, by digest."""

    @property
    def sbom_generator(self) -> str:
        """BuildKit's generator of SBOMs, by digest."""

    @property
    def admission(self) -> AdmissionSettings:
        """Requirements that a digest must meet to be deployed."""

    @property
    def approval(self) -> bool:
        """Whether a person must approve each release."""

    @property
    def execution_mode(self) -> Literal["SUPERSEDED", "QUEUED"]:
        """Whether a newer commit supersedes a waiting one."""

    @property
    def deploy(self) -> Literal["build", "eks"]:
        """Whether a CodeBuild build or CodePipeline's EKS action changes the cluster."""

    @property
    def rollback(self) -> bool:
        """Whether a failed deploy stage rolls back to the previous digest."""

    @property
    def github_runner(self) -> bool:
        """Whether CodeBuild runs jobs of the repository's GitHub Actions in the VPC."""

    @property
    def preview(self) -> PreviewSettings:
        """Previews of pull requests by CodeBuild."""

    @property
    def infrastructure(self) -> InfrastructureSettings:
        """Updates of the stack by the pipeline."""

    @property
    def bake_minutes(self) -> int:
        """Minutes of requests to a new release, then the same time under alarms; 0 disables."""

    @property
    def log_days(self) -> int:
        """Retention of the build logs in days."""


class BuildSettings(Protocol):
    """Section `image`, as far as the pipeline builds from it."""

    @property
    def context(self) -> str:
        """Build context, a folder of the source."""

    @property
    def base_image(self) -> str | None:
        """Value of the Dockerfile's BASE_IMAGE; None keeps its default."""


class PipelineImage(Protocol):
    """Outputs of the image component that a pipeline needs."""

    @property
    def repository_url(self) -> pulumi.Input[str]:
        """Registry and repository, without tag."""

    @property
    def repository_name(self) -> pulumi.Input[str]:
        """Name of the repository."""

    @property
    def repository_arn(self) -> pulumi.Input[str]:
        """ARN of the repository."""

    @property
    def proven_url(self) -> pulumi.Input[str]:
        """Registry and repository of proven images."""

    @property
    def proven_name(self) -> pulumi.Input[str]:
        """Name of the repository of proven images."""

    @property
    def proven_arn(self) -> pulumi.Input[str]:
        """ARN of the repository of proven images."""

    @property
    def cache_url(self) -> pulumi.Input[str]:
        """Registry and repository of the build cache."""

    @property
    def cache_arn(self) -> pulumi.Input[str]:
        """ARN of the build cache."""


class PipelineNetwork(Protocol):
    """Outputs of the network component that a pipeline needs."""

    @property
    def vpc_id(self) -> pulumi.Input[str]:
        """ID of the VPC."""

    @property
    def private_subnet_ids(self) -> Sequence[pulumi.Input[str]]:
        """Private subnets, one per zone."""


class PipelineCluster(Protocol):
    """Outputs of the cluster component that a pipeline needs."""

    @property
    def cluster_name(self) -> pulumi.Input[str]:
        """Name in EKS."""

    @property
    def cluster_arn(self) -> pulumi.Input[str]:
        """ARN in EKS."""

    @property
    def security_group_id(self) -> pulumi.Input[str]:
        """Security group of the control plane."""


class PipelineWorkload(Protocol):
    """Outputs of the workload component that a pipeline needs."""

    @property
    def namespace(self) -> str:
        """The only namespace that the pipeline may edit."""

    @property
    def deployment_name(self) -> str:
        """Deployment that is rolled out."""

    @property
    def container_names(self) -> Sequence[str]:
        """Containers of the Deployment that run the released image."""

    @property
    def init_container_names(self) -> Sequence[str]:
        """Init containers of the Deployment that run the released image."""

    @property
    def outside_url(self) -> pulumi.Input[str] | None:
        """URL that verifies a release, from the VPC.

        None for an internal service, which is verified through the Kubernetes API.
        """


class PipelineObservability(Protocol):
    """Outputs of the observability component that a pipeline needs."""

    @property
    def topic_arn(self) -> pulumi.Input[str]:
        """Topic of approvals and failures."""

    @property
    def topic_key_arn(self) -> pulumi.Input[str]:
        """Key of the topic."""

    @property
    def release_alarm_names(self) -> Sequence[pulumi.Input[str]]:
        """Metric alarms that gate a release; five at most."""


@dataclass(frozen=True, kw_only=True)
class PipelineArgs:
    """Arguments of `Pipeline`."""

    prefix: str
    """Prefix of physical names; the pipeline is called `<prefix>-<name>`."""
    stack: str
    """Stack that is previewed, for pull requests, and updated."""
    protected: bool
    """Refuse to delete buckets and keep keys as long as KMS allows."""
    settings: PipelineSettings
    build: BuildSettings
    architecture: Architecture
    """CPU architecture of nodes and image, and therefore of the build machines."""
    image: PipelineImage
    network: PipelineNetwork
    cluster: PipelineCluster
    workload: PipelineWorkload
    observability: PipelineObservability
