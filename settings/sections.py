"""Sections of a stack file. The commands in error messages propose a field's first example."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from settings import types as t

# moby/buildkit v0.31.2, from a mirror without Docker Hub's limit on anonymous pulls.
BUILDKIT_IMAGE = (
    "mirror.gcr.io/moby/buildkit"
    "@sha256:2f5adac4ecd194d9f8c10b7b5d7bceb5186853db1b26e5abd3a657af0b7e26ec"
)
# docker/buildkit-syft-scanner 1.12.0, from the same mirror.
SBOM_GENERATOR = (
    "mirror.gcr.io/docker/buildkit-syft-scanner"
    "@sha256:ae4f3b554449e7e25548e7d8ccc029d17357348e30c6e3df01b92bc93654d6a9"
)
# A resource has at most 50 tags; the program adds up to four.
MAX_TAGS = 46
Count = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """Frozen section that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _separate_numbers_and_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true for 1 and 1 for true, which pydantic converts."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if annotation is int and isinstance(value, bool):
            raise ValueError("must be a whole number")
        if annotation is bool and isinstance(value, int) and not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value


class Aws(Section):
    """AWS account, region, role and tags."""

    region: t.Region = Field(examples=["us-east-1"])
    """AWS region. Fixed for the life of the stack: another region needs another stack."""
    account_ids: tuple[t.AccountId, ...] = Field(default=(), examples=[["123456789012"]])
    """Allowed AWS accounts; empty for any account."""
    role_arn: t.RoleArn | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:role/deployer"]
    )
    """Role that the program assumes; none uses the caller's credentials."""
    permissions_boundary: t.PolicyArn | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/platform-boundary"]
    )
    """Permissions boundary of every role; the deploy roles of `make bootstrap` require theirs."""
    tags: dict[t.TagKey, t.TagValue] = Field(
        default={}, examples=[{"team": "platform"}], max_length=MAX_TAGS
    )
    """Tags of every resource, in addition to project and stack."""


class Network(Section):
    """VPC."""

    cidr: t.PrivateCidr = Field(examples=["10.10.0.0/16"])
    """IPv4 network of the VPC, /16 to /20. Fixed for the life of the environment."""
    zones: Literal[2, 3] = Field(examples=[2])
    """Number of availability zones."""
    nat: Literal["none", "single", "per-zone"] = Field(examples=["single"])
    """NAT gateways of the private subnets."""
    interface_endpoints: tuple[t.Endpoint, ...] = Field(
        default=(), examples=[["ecr.api", "ecr.dkr", "sts", "logs"]]
    )
    """AWS services with an interface endpoint in the VPC. S3 always has a gateway endpoint."""
    flow_log_days: t.RetentionDays = Field(examples=[30])
    """Retention of flow logs in days."""
    neighbours: tuple[t.Cidr, ...] = Field(default=(), examples=[["10.20.0.0/16"]])
    """Networks that will be connected to the VPC and must not overlap it."""


class ClusterEndpoint(Section):
    """Access to the Kubernetes API."""

    public: bool = Field(examples=[False])
    """Whether the Kubernetes API has a public endpoint in addition to the private one."""
    allowed_cidrs: tuple[t.Cidr, ...] = Field(default=(), examples=[["203.0.113.0/24"]])
    """Networks that may reach the public endpoint."""
    way_in: Literal["vpc"] | t.ProxyUrl | None = Field(default=None, examples=["vpc"])
    """How the program reaches a private endpoint: `vpc` if it runs there, or a proxy's URL."""

    @property
    def proxy_url(self) -> str | None:
        """Proxy to the private endpoint, if any."""
        return None if self.way_in == "vpc" else self.way_in


class NodeGroup(Section):
    """Managed node groups."""

    instance_types: tuple[t.InstanceType, ...] = Field(min_length=1, examples=[["t3.large"]])
    """EC2 instance types of the configured architecture; spot capacity needs several."""
    capacity: Literal["spot", "on-demand"] = Field(examples=["on-demand"])
    """Purchase option; AWS can reclaim spot nodes at any time."""
    minimum: Count = Field(examples=[2])
    """Minimum number of nodes."""
    maximum: Count = Field(examples=[4])
    """Maximum number of nodes."""
    disk_gib: int = Field(ge=20, le=1000, examples=[40])
    """Encrypted root volume per node in GiB."""
    release_version: t.ReleaseVersion | None = None
    """AMI release version; none looks the recommended one up once and stores it."""


class Addons(Section):
    """EKS add-on versions; none looks the default version up once and stores it."""

    vpc_cni: t.AddonVersion | None = None
    """Version of the VPC CNI; none looks the default version up once and stores it."""
    kube_proxy: t.AddonVersion | None = None
    """Version of kube-proxy; none looks the default version up once and stores it."""
    pod_identity_agent: t.AddonVersion | None = None
    """Version of the Pod Identity agent; none looks the default version up once and stores it."""
    coredns: t.AddonVersion | None = None
    """Version of CoreDNS; none looks the default version up once and stores it."""
    metrics_server: t.AddonVersion | None = None
    """Version of metrics-server; none looks the default version up once and stores it."""


class Cluster(Section):
    """EKS cluster."""

    version: t.KubernetesVersion = Field(examples=["1.35"])
    """Kubernetes minor version in standard support."""
    service_cidr: t.PrivateCidr = Field(examples=["172.20.0.0/16"])
    """IPv4 network of Kubernetes Services, outside the VPC. Fixed for the environment's life."""
    endpoint: ClusterEndpoint
    compute: Literal["managed", "auto"] = Field(examples=["managed"])
    """Managed node groups, or EKS Auto Mode."""
    nodes: NodeGroup
    addons: Addons = Addons()
    deployers: tuple[t.RoleArn, ...] = Field(
        default=(), examples=[["arn:aws:iam::123456789012:role/deployer"]]
    )
    """Existing roles with cluster admin access, in addition to the cluster's creator."""
    break_glass: tuple[t.RoleArn, ...] = Field(
        default=(), examples=[["arn:aws:iam::123456789012:role/break-glass"]]
    )
    """Existing emergency roles with cluster admin access."""
    viewers: tuple[t.RoleArn, ...] = Field(
        default=(), examples=[["arn:aws:iam::123456789012:role/viewer"]]
    )
    """Existing roles that may read the cluster's objects, except Secrets."""
    log_days: t.RetentionDays = Field(examples=[30])
    """Retention of control-plane logs in days."""

    @property
    def auto_mode(self) -> bool:
        """Whether EKS Auto Mode provides compute."""
        return self.compute == "auto"


class Image(Section):
    """Container image of the service."""

    context: t.RelativePath = Field(default="app", examples=["app"])
    """Folder of the build context."""
    dockerfile: t.RelativePath = Field(default="Dockerfile", examples=["Dockerfile"])
    """Dockerfile within the build context."""
    base_image: t.ImageReference | None = Field(
        default=None, examples=["docker.io/library/python@sha256:" + "0" * 64]
    )
    """Base image by digest; none keeps the Dockerfile's."""
    keep: int = Field(ge=5, le=1000, examples=[30])
    """Number of images that the repository keeps, and number of proven images."""

    @property
    def build_arguments(self) -> dict[str, str]:
        """Values of the Dockerfile's ARG instructions."""
        return {} if self.base_image is None else {"BASE_IMAGE": self.base_image}


class Database(Section):
    """PostgreSQL database."""

    enabled: bool = Field(examples=[True])
    """Whether a database exists; the service runs without one."""
    name: t.DatabaseName = Field(default="guestbook", examples=["guestbook"])
    """Name of the database within PostgreSQL."""
    engine_version: t.PostgresVersion | None = None
    """PostgreSQL version; none looks the newest minor version of 17 up once and stores it."""
    snapshot: t.SnapshotIdentifier | None = Field(default=None, examples=["before-migration"])
    """Snapshot that the database is created from. A change or removal replaces the database."""
    instance_class: t.InstanceClass = Field(default="db.t4g.micro", examples=["db.t4g.micro"])
    """RDS instance class."""
    storage_gib: int = Field(default=20, ge=20, le=65536, examples=[20])
    """Storage in GiB."""
    multi_az: bool = Field(default=False, examples=[True])
    """Whether a standby exists in another zone."""
    backup_days: int = Field(default=0, ge=0, le=35, examples=[14])
    """Retention of automated backups in days; 0 disables them."""
    log_days: t.RetentionDays = Field(default=30, examples=[30])
    """Retention of PostgreSQL's log in days."""


class Exposure(Section):
    """How callers reach the service."""

    kind: Literal["internal", "load-balancer", "ingress"] = Field(examples=["load-balancer"])
    """Inside the cluster only, network load balancer, or Ingress."""
    allowed_cidrs: tuple[t.Cidr, ...] = Field(default=(), examples=[["203.0.113.0/24"]])
    """Networks outside the VPC that may call the service."""
    certificate_arn: t.CertificateArn | None = Field(
        default=None, examples=["arn:aws:acm:us-east-1:123456789012:certificate/ID"]
    )
    """ACM certificate of the load balancer; none serves plain HTTP."""
    host: t.HostName | None = Field(default=None, examples=["guestbook.example.com"])
    """DNS name of the service."""
    ingress_class: t.Name | None = Field(default=None, examples=["alb"])
    """Class of the Ingress. Created under Auto Mode; otherwise the owner installs a controller,
    for which `up` does not wait."""


class Workload(Section):
    """The service in Kubernetes."""

    namespace: t.Namespace = Field(examples=["guestbook"])
    """Kubernetes namespace."""
    port: t.Port = Field(default=8080, examples=[8080])
    """HTTP port of the container, which gets it as `APP_PORT`."""
    minimum: Count = Field(examples=[1])
    """Minimum number of replicas."""
    maximum: Count = Field(examples=[3])
    """Maximum number of replicas."""
    cpu_target_percent: t.Percent = Field(default=70, examples=[70])
    """Target of the autoscaler, in percent of the CPU request."""
    cpu_millicores: int = Field(ge=10, le=64000, examples=[250])
    """CPU request per pod in millicores."""
    memory_mib: int = Field(ge=64, le=262144, examples=[256])
    """Memory request and limit per pod in MiB."""
    exposure: Exposure
    environment: dict[t.VariableName, t.Text] = Field(
        default={}, examples=[{"APP_LOG_LEVEL": "info"}]
    )
    """Plain environment variables of the service."""
    secrets: tuple[t.VariableName, ...] = Field(default=(), examples=[["SENTRY_DSN"]])
    """Secret configuration keys that the service gets as environment variables."""
    migration: tuple[t.Text, ...] = Field(
        default=(), examples=[["python3", "-m", "app.db.migrate"]]
    )
    """Command in the service's image that runs before the service."""


class Source(Section):
    """Source of releases."""

    kind: Literal["github", "s3"] = Field(examples=["github"])
    """GitHub through CodeConnections, or an archive in S3."""
    repository: t.Repository | None = Field(default=None, examples=["example/platform"])
    """GitHub repository, owner/name."""
    branch: t.GitBranch | None = Field(default=None, examples=["main"])
    """Branch whose pushes start a release."""
    tags: tuple[t.TagPattern, ...] = Field(default=(), examples=[["v*"]])
    """Tag patterns whose pushes start a release."""
    paths: tuple[t.PathPattern, ...] = Field(default=(), examples=[["app/**", "tests/app/**"]])
    """Patterns of paths; a push to the branch that changes none of them starts no release."""
    pull_requests: bool = Field(default=False, examples=[True])
    """Whether pull requests against the branch are tested and built, without deploy rights."""
    connection_arn: t.ConnectionArn | None = Field(
        default=None, examples=["arn:aws:codeconnections:us-east-1:123456789012:connection/ID"]
    )
    """Existing connection; none creates one, which a person must accept once."""


class AcceptedFinding(Section):
    """Finding that does not prevent a release until a day."""

    id: t.FindingId = Field(examples=["CVE-2026-12345"])
    """Name of the finding."""
    reason: t.Reason = Field(examples=["the vulnerable function is not used"])
    """Why it is accepted."""
    until: t.Day = Field(examples=["2026-12-31"])
    """Last day of the acceptance, at most a year ahead."""


class Admission(Section):
    """Requirements that a digest must meet to be deployed."""

    signature: bool = Field(default=True, examples=[True])
    """Whether images are signed with an SBOM, and unsigned ones are refused."""
    signing_key: t.KeyAlias | None = Field(
        default=None, examples=["alias/platform-dev-pipeline-signing"]
    )
    """Key of the environment that signs promoted images; none creates a key, to sign built ones."""
    scan: Literal["none", "low", "medium", "high", "critical"] = Field(
        default="critical", examples=["high"]
    )
    """Severity from which findings of the image scan prevent a release; `none` needs no scan."""
    accepted_findings: tuple[AcceptedFinding, ...] = Field(
        default=(),
        examples=[[{"id": "CVE-2026-12345", "reason": "not reachable", "until": "2026-12-31"}]],
    )
    """Findings that do not prevent a release, each with reason and last day."""


class Preview(Section):
    """Previews of pull requests by CodeBuild, for teams without GitHub Actions."""

    enabled: bool = Field(default=False, examples=[True])
    """Whether CodeBuild previews pull requests, with a role that may only read."""
    branch: t.GitBranch = Field(default="main", examples=["main"])
    """Branch whose pull requests are previewed."""
    state_bucket: t.BucketName | None = Field(
        default=None, examples=["platform-state-123456789012-us-east-1"]
    )
    """Bucket of the stack's state, which `make bootstrap` creates."""
    state_key_arn: t.KeyArn | None = Field(
        default=None, examples=["arn:aws:kms:us-east-1:123456789012:key/ID"]
    )
    """Key of the state and of the stack's secrets, in the region of the bucket."""
    comment_secret: t.SecretName | None = Field(default=None, examples=["github/preview-comments"])
    """Secret in Secrets Manager with a GitHub token that may write comments of pull requests; none
    leaves the result in the build's log and status."""


class Infrastructure(Section):
    """Infrastructure changes of a commit through the pipeline: preview, approval, update."""

    enabled: bool = Field(default=False, examples=[True])
    """Whether the pipeline updates this stack to the commit of a release before it deploys the
    image. A person approves each update that changes something."""
    state_bucket: t.BucketName | None = Field(
        default=None, examples=["platform-state-123456789012-us-east-1"]
    )
    """Bucket of the stack's state, which `make bootstrap` creates."""
    state_key_arn: t.KeyArn | None = Field(
        default=None, examples=["arn:aws:kms:us-east-1:123456789012:key/ID"]
    )
    """Key of the state and of the stack's secrets, in the region of the bucket."""


class Pipeline(Section):
    """Pipeline from commit to cluster."""

    source: Source
    promote_from: t.EcrRepository | None = Field(
        default=None, examples=["platform-dev/image-proven"]
    )
    """Repository of proven images to promote; none builds the image."""
    buildkit_image: t.ImageReference = Field(default=BUILDKIT_IMAGE, examples=[BUILDKIT_IMAGE])
    """BuildKit image of the build, by digest. The default is a mirror of Docker Hub."""
    sbom_generator: t.ImageReference = Field(default=SBOM_GENERATOR, examples=[SBOM_GENERATOR])
    """BuildKit's generator of SBOMs, by digest. The default is a mirror of Docker Hub."""
    admission: Admission = Admission()
    approval: bool = Field(examples=[True])
    """Whether a person must approve each release."""
    execution_mode: Literal["SUPERSEDED", "QUEUED"] = Field(examples=["QUEUED"])
    """Waiting releases: the newest supersedes the others, or all run in order."""
    deploy: Literal["build", "eks"] = Field(default="build", examples=["eks"])
    """What changes the cluster: a CodeBuild build, which waits for the roll-out and restores the
    previous image if it fails, or CodePipeline's EKS action, which needs `rollback`."""
    rollback: bool = Field(examples=[True])
    """Whether a failed deploy stage rolls back to the previous release."""
    github_runner: bool = Field(default=False, examples=[True])
    """Whether CodeBuild runs jobs of the repository's GitHub Actions in the VPC, for a cluster
    with a private endpoint."""
    preview: Preview = Preview()
    infrastructure: Infrastructure = Infrastructure()
    bake_minutes: int = Field(default=0, ge=0, le=1440, examples=[10])
    """Minutes of requests to a new release, then the same time under alarms; 0 disables."""
    log_days: t.RetentionDays = Field(examples=[30])
    """Retention of build logs in days."""


class Service(Section):
    """A further service on the same cluster and network."""

    image: Image
    database: Database = Database(enabled=False)
    workload: Workload
    pipeline: Pipeline


class Observability(Section):
    """Notifications and budget."""

    contacts: tuple[t.Email, ...] = Field(default=(), examples=[["team@example.com"]])
    """E-mail addresses for alarms, approvals and the budget."""
    monthly_budget_usd: int = Field(ge=1, le=1_000_000, examples=[200])
    """Monthly budget in US dollars."""


class Settings(Section):
    """Validated configuration of one environment."""

    project: str = Field(exclude=True)
    stack: str = Field(exclude=True)
    lifecycle: Literal["ephemeral", "protected"] = Field(examples=["ephemeral"])
    """`ephemeral`: destroy deletes everything. `protected`: destroy is refused."""
    architecture: Literal["amd64", "arm64"] = Field(examples=["amd64"])
    """CPU architecture of nodes and image, the same in all environments that share digests.
    Fixed for the life of the environment: the pipeline owns the running image."""
    aws: Aws
    network: Network
    cluster: Cluster
    image: Image
    database: Database
    workload: Workload
    pipeline: Pipeline
    observability: Observability
    services: dict[t.ServiceName, Service] = Field(default={}, examples=[{}], max_length=10)
    """Further services by name. Each has sections `image`, `workload`, `pipeline` and, for a
    database of its own, `database`, with the keys above."""

    @property
    def prefix(self) -> str:
        """Prefix of physical names."""
        return f"{self.project}-{self.stack}"

    @property
    def protected(self) -> bool:
        """Whether deletion is refused."""
        return self.lifecycle == "protected"

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every resource."""
        return {**self.aws.tags, "project": self.project, "stack": self.stack}
