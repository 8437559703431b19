"""The sections of a stack file. A field's `examples` is what the mending command of an error proposes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from settings import vocabulary as t

Few = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """Frozen, and refusing keys that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_and_truth_differ(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true for 1 and 1 for true; whoever wrote one of them meant another key."""
        wanted = cls.model_fields[str(info.field_name)].annotation
        if wanted is int and isinstance(value, bool):
            raise ValueError("must be a whole number")
        if wanted is bool and isinstance(value, int) and not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value


class Aws(Section):
    """Where, as whom, and under which labels."""

    region: t.Region = Field(examples=["us-east-1"])
    """AWS region, for as long as the stack lives: another region is another stack."""
    account_ids: tuple[t.AccountId, ...] = Field(default=(), examples=[["123456789012"]])
    """Accounts in which this stack may exist; empty for any."""
    role_arn: t.RoleArn | None = Field(default=None, examples=["arn:aws:iam::123456789012:role/deployer"])
    """Role to assume; None for the caller's own credentials."""
    tags: dict[t.TagKey, t.TagValue] = Field(default={}, examples=[{"team": "platform"}])
    """Tags for everything, beside project and stack."""


class Network(Section):
    """The VPC."""

    cidr: t.Cidr = Field(examples=["10.10.0.0/16"])
    """The VPC's addresses; /16 to /20. Chosen when an environment is made."""
    zones: Literal[2, 3] = Field(examples=[2])
    """EKS asks for two; the address plan holds three."""
    nat: Literal["none", "single", "per-zone"] = Field(examples=["single"])
    """NAT gateways for what private subnets send out."""
    interface_endpoints: tuple[t.Endpoint, ...] = Field(default=(), examples=[["ecr.api", "ecr.dkr", "sts", "logs"]])
    """AWS services reached without leaving the VPC; S3 always is."""
    flow_log_days: t.RetentionDays = Field(examples=[30])
    """Days that flow logs are kept."""
    neighbours: tuple[t.Cidr, ...] = Field(default=(), examples=[["10.20.0.0/16"]])
    """Networks that this one will be connected to, and so must not overlap."""


class ClusterEndpoint(Section):
    """How the Kubernetes API is reached."""

    public: bool = Field(examples=[False])
    """Whether the Kubernetes API answers on a public address too."""
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
    """Kinds of machine, of `architecture`; spot wants several."""
    capacity: Literal["spot", "on-demand"] = Field(examples=["on-demand"])
    """Spot is cheaper and can be taken back at any time."""
    minimum: Few = Field(examples=[2])
    """At least so many (nodes; replicas of the service)."""
    maximum: Few = Field(examples=[4])
    """At most so many."""
    disk_gib: int = Field(ge=20, le=1000, examples=[40])
    """Each node's disk, encrypted, in GiB."""
    release_version: t.ReleaseVersion = Field(examples=["1.35.0-20260901"])
    """AMI release: nodes change when this does, not by themselves."""


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
    """Kubernetes minor version in standard support."""
    service_cidr: t.Cidr = Field(examples=["172.20.0.0/16"])
    """Addresses of Kubernetes Services; must not overlap the VPC's. Chosen when an environment is made."""
    endpoint: ClusterEndpoint
    compute: Literal["managed", "auto"] = Field(examples=["managed"])
    """Managed node groups, or EKS Auto Mode."""
    nodes: NodeGroup
    addons: Addons
    deployers: tuple[t.RoleArn, ...] = Field(default=(), examples=[["arn:aws:iam::123456789012:role/deployer"]])
    """Roles that administer the cluster beside its creator; they must exist."""
    break_glass: tuple[t.RoleArn, ...] = Field(default=(), examples=[["arn:aws:iam::123456789012:role/break-glass"]])
    """Roles for emergencies; they must exist."""
    log_days: t.RetentionDays = Field(examples=[30])
    """Days that logs are kept."""

    @property
    def auto_mode(self) -> bool:
        """Whether EKS chooses the machines."""
        return self.compute == "auto"


class Image(Section):
    """The service's image."""

    context: t.RelativePath = Field(default="app", examples=["app"])
    """Folder that the image is built from."""
    dockerfile: t.RelativePath = Field(default="Dockerfile", examples=["Dockerfile"])
    """Dockerfile in that folder."""
    base_image: t.ImageReference | None = Field(default=None, examples=["docker.io/library/python@sha256:" + "0" * 64])
    """Other base than the Dockerfile's, by digest."""
    keep: int = Field(ge=5, le=1000, examples=[30])
    """Images that the repository keeps: so many proven ones, and so many of the rest."""

    @property
    def build_arguments(self) -> dict[str, str]:
        """Values for the Dockerfile's ARG lines."""
        return {} if self.base_image is None else {"BASE_IMAGE": self.base_image}


class Database(Section):
    """PostgreSQL, or none."""

    enabled: bool = Field(examples=[True])
    """Whether there is a database; the service runs without one."""
    name: t.DatabaseName = Field(default="guestbook", examples=["guestbook"])
    """The database's name."""
    engine_version: t.PostgresVersion = Field(default="17.6", examples=["17.6"])
    """PostgreSQL version."""
    instance_class: t.InstanceClass = Field(default="db.t4g.micro", examples=["db.t4g.micro"])
    """Size of the database."""
    storage_gib: int = Field(default=20, ge=20, le=65536, examples=[20])
    """Storage in GiB."""
    multi_az: bool = Field(default=False, examples=[True])
    """A standby in another zone."""
    backup_days: int = Field(default=0, ge=0, le=35, examples=[14])
    """Days that backups are kept; 0 for none."""
    log_days: t.RetentionDays = Field(default=30, examples=[30])
    """Days that logs are kept."""


class Exposure(Section):
    """The way to the service."""

    kind: Literal["internal", "load-balancer", "ingress"] = Field(examples=["load-balancer"])
    """Inside the cluster only, by a network load balancer, or by an Ingress."""
    allowed_cidrs: tuple[t.Cidr, ...] = Field(default=(), examples=[["203.0.113.0/24"]])
    """Who may reach the service."""
    certificate_arn: t.CertificateArn | None = Field(
        default=None, examples=["arn:aws:acm:us-east-1:123456789012:certificate/ID"]
    )
    """ACM certificate that ends TLS at the load balancer."""
    host: t.HostName | None = Field(default=None, examples=["guestbook.example.com"])
    """Host name of the service."""
    ingress_class: t.Name | None = Field(default=None, examples=["alb"])
    """Class of the Ingress. Under Auto Mode it is made, for the built-in controller; else it comes with the controller that the cluster's owner installs, for which `up` doesn't wait."""


class Workload(Section):
    """The service."""

    namespace: t.Namespace = Field(examples=["guestbook"])
    """Kubernetes namespace."""
    port: t.Port = Field(default=8080, examples=[8080])
    """Port that the container listens on."""
    minimum: Few = Field(examples=[1])
    """At least so many (nodes; replicas of the service)."""
    maximum: Few = Field(examples=[3])
    """At most so many."""
    cpu_target_percent: t.Percent = Field(default=70, examples=[70])
    """CPU use that the autoscaler aims at, in percent."""
    cpu_millicores: int = Field(ge=10, le=64000, examples=[250])
    """A pod's CPU request, in thousandths of a core."""
    memory_mib: int = Field(ge=64, le=262144, examples=[256])
    """A pod's memory, in MiB."""
    exposure: Exposure
    environment: dict[t.VariableName, t.Text] = Field(default={}, examples=[{"APP_LOG_LEVEL": "info"}])
    """Plain environment variables of the service."""
    secrets: tuple[t.VariableName, ...] = Field(default=(), examples=[["SENTRY_DSN"]])
    """Names of secret configuration values that the service gets as environment variables."""
    migration: tuple[t.Text, ...] = Field(default=(), examples=[["python3", "-m", "app.migrate"]])
    """Command that runs before the service, in its image."""


class Source(Section):
    """What starts a release."""

    kind: Literal["github", "s3"] = Field(examples=["github"])
    """GitHub by CodeConnections, or an object in S3."""
    repository: t.Repository | None = Field(default=None, examples=["example/platform"])
    """GitHub repository, owner/name."""
    branch: t.GitBranch | None = Field(default=None, examples=["main"])
    """Branch whose pushes start a release."""
    tags: tuple[t.TagPattern, ...] = Field(default=(), examples=[["v*"]])
    """Tags whose pushes start a release."""
    connection_arn: t.ConnectionArn | None = Field(
        default=None, examples=["arn:aws:codeconnections:us-east-1:123456789012:connection/ID"]
    )
    """An existing connection; None makes one, which waits for its handshake."""


class Pipeline(Section):
    """From commit to cluster."""

    source: Source
    promote_from: t.EcrRepository | None = Field(default=None, examples=["platform-dev/image"])
    """Repository of the environment whose proven digests are taken; None builds here."""
    approval: bool = Field(examples=[True])
    """Whether a person approves before the deployment."""
    execution_mode: Literal["SUPERSEDED", "QUEUED"] = Field(examples=["QUEUED"])
    """What happens to releases that wait: the newest wins, or one after the other."""
    rollback: bool = Field(examples=[True])
    """Whether a failed stage goes back to the last good release."""
    bake_minutes: int = Field(default=0, ge=0, le=1440, examples=[10])
    """How long a release is watched: by asking the service all the time, then, for as long again, by the alarms; 0 doesn't."""
    log_days: t.RetentionDays = Field(examples=[30])
    """Days that logs are kept."""


class Observability(Section):
    """Who is told, and what it may cost."""

    contacts: tuple[t.Email, ...] = Field(default=(), examples=[["team@example.com"]])
    """Who gets alarms, approvals and the budget by e-mail."""
    monthly_budget_usd: int = Field(ge=1, le=1_000_000, examples=[200])
    """Budget per month, in US dollars."""


class Settings(Section):
    """One environment, whole and without contradictions."""

    project: str = Field(exclude=True)
    stack: str = Field(exclude=True)
    lifecycle: Literal["ephemeral", "protected"] = Field(examples=["ephemeral"])
    """`ephemeral`: destroy leaves nothing. `protected`: destroy is refused until this is lifted."""
    architecture: Literal["amd64", "arm64"] = Field(examples=["amd64"])
    """Of nodes and image; the same in every environment that a digest is promoted through. Chosen when an environment is made: the image that runs is the pipeline's, and `up` doesn't change it."""
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
