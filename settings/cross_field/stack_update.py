"""Cross-field rules of `pipeline.infrastructure`, whose builds preview and update the stack."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from settings.cross_field.conflict import Conflict
from settings.errors import Path
from settings.sections import Aws, Cluster, Network, Observability, Pipeline

SECTION: Path = ("pipeline", "infrastructure")
ENABLED: Path = (*SECTION, "enabled")
BOUNDARY = "arn:aws:iam::123456789012:policy/platform-boundary"


def requirements(pipeline: Pipeline, aws: Aws, observability: Observability) -> Iterator[Conflict]:
    """The update has a role of its own within a boundary, and somebody must approve it."""
    if not pipeline.infrastructure.enabled:
        return
    if aws.permissions_boundary is None:
        yield Conflict(
            ("aws", "permissions_boundary"),
            "is missing: pipeline.infrastructure creates an administrator role, which this "
            "boundary limits; `make bootstrap` creates one",
            BOUNDARY,
        )
    if aws.role_arn is not None:
        yield Conflict(
            ENABLED,
            "has no effect with aws.role_arn: the preview would assume that role, which may "
            "change resources",
        )
    if not observability.contacts:
        yield Conflict(
            ENABLED,
            "no contact is notified about an approval: set observability.contacts",
            "team@example.com",
            ("observability", "contacts", 0),
        )


def state(pipeline: Pipeline) -> Iterator[Conflict]:
    """A preview and an update need the stack's state, which is in one place."""
    infrastructure, preview = pipeline.infrastructure, pipeline.preview
    for name, example in (
        ("state_bucket", "platform-state-123456789012-us-east-1"),
        ("state_key_arn", "arn:aws:kms:us-east-1:123456789012:key/ID"),
    ):
        value, other = getattr(infrastructure, name), getattr(preview, name)
        if infrastructure.enabled and value is None:
            message = "is missing: preview and update need the stack's state"
            yield Conflict((*SECTION, name), message, other or example)
        elif infrastructure.enabled and preview.enabled and other not in (None, value):
            message = f"differs from pipeline.preview.{name}, {other}: a stack has one state"
            yield Conflict((*SECTION, name), message, other)


def network_access(pipeline: Pipeline, network: Network, cluster: Cluster) -> Iterator[Conflict]:
    """The builds run in private subnets, install Pulumi and reach the Kubernetes API there."""
    if not pipeline.infrastructure.enabled:
        return
    if network.nat == "none":
        yield Conflict(
            ENABLED,
            "its builds cannot install Pulumi and the program's packages without a NAT gateway",
            "single",
            ("network", "nat"),
        )
    if cluster.endpoint.proxy_url is not None:
        yield Conflict(
            ("cluster", "endpoint", "way_in"),
            "the builds of pipeline.infrastructure run in the VPC and cannot use a proxy into it",
            "vpc",
        )


def triggers(pipeline: Pipeline, stack: str) -> Iterator[Conflict]:
    """A change of the stack file must start the pipeline."""
    paths, file = pipeline.source.paths, f"Pulumi.{stack}.yaml"
    starts = not paths or any(fnmatchcase(file, pattern) for pattern in paths)
    if pipeline.infrastructure.enabled and not starts:
        yield Conflict(
            ("pipeline", "source", "paths"),
            f"do not contain {file}, so its changes would not start the pipeline, which "
            "pipeline.infrastructure needs",
            file,
            ("pipeline", "source", "paths", len(paths)),
        )
