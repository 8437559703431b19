"""The sections of a stack file. A field's `examples` is what the mending command of an error proposes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from settings import vocabulary as t

Few = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """Frozen, and refusing keys that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Aws(Section):
    """Where, as whom, and under which labels."""

    region: t.Region = Field(examples=["us-east-1"])
    account_ids: tuple[t.AccountId, ...] = Field(default=(), examples=[["123456789012"]])
    """Accounts in which this stack may exist; empty for any."""
    role_arn: t.RoleArn | None = Field(default=None, examples=["arn:aws:iam::123456789012:role/deployer"])
    """Role to assume; None for the caller's own credentials."""
    tags: dict[t.Text, t.Text] = Field(default={}, examples=[{"team": "platform"}])
    """Tags for everything, beside project and stack."""


class Network(Section):
    """The VPC."""

    cidr: t.Cidr = Field(examples=["10.10.0.0/16"])
    zones: Literal[2, 3] = Field(examples=[2])
    """EKS asks for two; the address plan holds three."""
    nat: Literal["none", "single", "per-zone"] = Field(examples=["single"])
    interface_endpoints: tuple[t.Endpoint, ...] = Field(default=(), examples=[["ecr.api", "ecr.dkr", "sts", "logs"]])
    flow_log_days: t.RetentionDays = Field(examples=[30])
    neighbours: tuple[t.Cidr, ...] = Field(default=(), examples=[["10.20.0.0/16"]])
    """Networks that this one will be connected to, and so must not overlap."""


class ClusterEndpoint(Section):
    """How the Kubernetes API is reached."""

    public: bool = Field(examples=[False])
    allowed_cidrs: tuple[t.Cidr, ...] = Field(default=(), examples=[["203.0.113.0/24"]])
    """Who may reach a public endpoint."""
    way_in: Literal["vpc"] | t.ProxyUrl | None = Field(default=None, examples=["vpc"])
    """For a private endpoint: `vpc` if this program runs inside, else the URL of a proxy that does."""

    @property
    def proxy_url(self) -> str | None:
        """The proxy that leads to a private endpoint, where there is one."""
        return None if self.way_in == "vpc" else self.way_in


class NodeGroup(Section):
    """Managed nodes."""

    instance_types: tuple[t.InstanceType, ...] = Field(min_length=1, examples=[["t3.large"]])
    capacity: Literal["spot", "on-demand"] = Field(examples=["on-demand"])
    minimum: Few = Field(examples=[2])
    maximum: Few = Field(examples=[4])
    disk_gib: int = Field(ge=20, le=1000, examples=[40])
    release_version: t.ReleaseVersion = Field(examples=["1.35.0-20260901"])


class Addons(Section):
    """Pinned add-on versions: `aws eks describe-addon-versions --kubernetes-version 1.35`."""

    vpc_cni: t.AddonVersion = Field(examples=["v1.21.1-eksbuild.1"])
    kube_proxy: t.AddonVersion = Field(examples=["v1.35.0-eksbuild.2"])
    pod_identity_agent: t.AddonVersion = Field(examples=["v1.3.10-eksbuild.2"])
    coredns: t.AddonVersion = Field(examples=["v1.13.1-eksbuild.1"])
    metrics_server: t.AddonVersion = Field(examples=["v0.8.0-eksbuild.6"])


class Cluster(Section):
    """Kubernetes."""

    version: t.KubernetesVersion = Field(examples=["1.35"])
    service_cidr: t.Cidr = Field(examples=["172.20.0.0/16"])
    endpoint: ClusterEndpoint
    compute: Literal["managed", "auto"] = Field(examples=["managed"])
    nodes: NodeGroup
    addons: Addons
    deployers: tuple[t.RoleArn, ...] = Field(default=(), examples=[["arn:aws:iam::123456789012:role/deployer"]])
    break_glass: tuple[t.RoleArn, ...] = Field(default=(), examples=[["arn:aws:iam::123456789012:role/break-glass"]])
    log_days: t.RetentionDays = Field(examples=[30])

    @property
    def auto_mode(self) -> bool:
        """Whether EKS chooses the machines."""
        return self.compute == "auto"


class Image(Section):
    """The service's image."""

    context: t.RelativePath = Field(default="app", examples=["app"])
    dockerfile: t.RelativePath = Field(default="Dockerfile", examples=["Dockerfile"])
    base_image: t.ImageReference | None = Field(default=None, examples=["docker.io/library/python@sha256:" + "0" * 64])
    """Other base than the Dockerfile's, by digest."""
    keep: int = Field(ge=5, le=1000, examples=[30])

    @property
    def build_arguments(self) -> dict[str, str]:
        """Values for the Dockerfile's ARG lines."""
        return {} if self.base_image is None else {"BASE_IMAGE": self.base_image}


class Database(Section):
    """PostgreSQL, or none."""

    enabled: bool = Field(examples=[True])
    name: t.Name = Field(default="guestbook", examples=["guestbook"])
    engine_version: t.PostgresVersion = Field(default="17.6", examples=["17.6"])
    instance_class: t.InstanceClass = Field(default="db.t4g.micro", examples=["db.t4g.micro"])
    storage_gib: int = Field(default=20, ge=20, le=65536, examples=[20])
    multi_az: bool = Field(default=False, examples=[True])
    backup_days: int = Field(default=0, ge=0, le=35, examples=[14])
    log_days: t.RetentionDays = Field(default=30, examples=[30])


class Exposure(Section):
    """The way to the service."""

    kind: Literal["internal", "load-balancer", "ingress"] = Field(examples=["load-balancer"])
    allowed_cidrs: tuple[t.Cidr, ...] = Field(default=(), examples=[["203.0.113.0/24"]])
    certificate_arn: t.CertificateArn | None = Field(
        default=None, examples=["arn:aws:acm:us-east-1:123456789012:certificate/ID"]
    )
    host: t.HostName | None = Field(default=None, examples=["guestbook.example.com"])
    ingress_class: t.Name | None = Field(default=None, examples=["alb"])


class Workload(Section):
    """The service."""

    namespace: t.Name = Field(examples=["guestbook"])
    port: t.Port = Field(default=8080, examples=[8080])
    minimum: Few = Field(examples=[1])
    maximum: Few = Field(examples=[3])
    cpu_target_percent: t.Percent = Field(default=70, examples=[70])
    cpu_millicores: int = Field(ge=10, le=64000, examples=[250])
    memory_mib: int = Field(ge=64, le=262144, examples=[256])
    exposure: Exposure
    environment: dict[t.VariableName, t.Text] = Field(default={}, examples=[{"APP_LOG_LEVEL": "info"}])
    secrets: tuple[t.VariableName, ...] = Field(default=(), examples=[["SENTRY_DSN"]])
    """Names of secret configuration values that the service gets as environment variables."""
    migration: tuple[t.Text, ...] = Field(default=(), examples=[["python3", "-m", "app.migrate"]])


class Source(Section):
    """What starts a release."""

    kind: Literal["github", "s3"] = Field(examples=["github"])
    repository: t.Repository | None = Field(default=None, examples=["example/platform"])
    branch: t.GitBranch | None = Field(default=None, examples=["main"])
    tags: tuple[t.TagPattern, ...] = Field(default=(), examples=[["v*"]])
    connection_arn: t.ConnectionArn | None = Field(
        default=None, examples=["arn:aws:codeconnections:us-east-1:123456789012:connection/ID"]
    )


class Pipeline(Section):
    """From commit to cluster."""

    source: Source
    promote_from: t.EcrRepository | None = Field(default=None, examples=["platform-dev/image"])
    """Repository of the environment whose proven digests are taken; None builds here."""
    approval: bool = Field(examples=[True])
    execution_mode: Literal["SUPERSEDED", "QUEUED"] = Field(examples=["QUEUED"])
    rollback: bool = Field(examples=[True])
    bake_minutes: int = Field(default=0, ge=0, le=1440, examples=[10])
    log_days: t.RetentionDays = Field(examples=[30])


class Observability(Section):
    """Who is told, and what it may cost."""

    contacts: tuple[t.Email, ...] = Field(default=(), examples=[["team@example.com"]])
    monthly_budget_usd: int = Field(ge=1, le=1_000_000, examples=[200])


class Settings(Section):
    """One environment, whole and without contradictions."""

    project: str = Field(exclude=True)
    stack: str = Field(exclude=True)
    lifecycle: Literal["ephemeral", "protected"] = Field(examples=["ephemeral"])
    """`ephemeral`: destroy leaves nothing. `protected`: destroy is refused until this is lifted."""
    architecture: Literal["amd64", "arm64"] = Field(examples=["amd64"])
    """Of nodes and image; the same in every environment that a digest is promoted through."""
    aws: Aws
    network: Network
    cluster: Cluster
    image: Image
    database: Database
    workload: Workload
    pipeline: Pipeline
    observability: Observability

    @property
    def prefix(self) -> str:
        """What physical names begin with."""
        return f"{self.project}-{self.stack}"

    @property
    def protected(self) -> bool:
        """Whether deletion is refused."""
        return self.lifecycle == "protected"

    @property
    def tags(self) -> dict[str, str]:
        """What everything in this environment is tagged with."""
        return {**self.aws.tags, "project": self.project, "stack": self.stack}
