"""Cross-field rules of database, workload, pipeline and observability."""

from collections.abc import Iterator
from datetime import date, timedelta

from settings.cross_field.conflict import Conflict
from settings.cross_field.infrastructure import (
    EXAMPLE_CIDR,
    are_too_open,
    is_too_open,
    ordered_bounds,
)
from settings.errors import Path
from settings.sections import Aws, Database, Observability, Pipeline, Workload

# Variables of the service that the program sets, in addition to DATABASE_….
RESERVED_VARIABLES = (
    *("APP_COMMIT", "APP_ENVIRONMENT", "APP_IMAGE_DIGEST", "APP_PORT", "APP_VERSION"),
    *("AWS_REGION", "POD_NAME"),
)
# Variables of the container's runtime: another value breaks the interpreter or the service.
RUNTIME_VARIABLES = (
    *("HOME", "HOSTNAME", "PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "TMPDIR"),
)
RUNTIME_PREFIXES = ("KUBERNETES_", "LD_")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Support.html
FIRST_MINOR_OF_14 = {"db.m7g": 5, "db.r7g": 5}
MIN_PROTECTED_BACKUP_DAYS = 7
PROVEN_SUFFIX = "-proven"
MAX_ACCEPTED_DAYS = 366
EXPOSURE: Path = ("workload", "exposure")
EXAMPLE_HOST = "guestbook.example.com"


def replica_bounds(workload: Workload) -> Iterator[Conflict]:
    """The minimum number of replicas must not exceed the maximum."""
    yield from ordered_bounds(("workload",), workload.minimum, workload.maximum)


def plain_http(workload: Workload, lifecycle: str) -> Iterator[Conflict]:
    """A protected service must not be open to the internet without TLS."""
    if lifecycle != "protected" or workload.exposure.certificate_arn is not None:
        return
    if are_too_open(workload.exposure.allowed_cidrs):
        yield Conflict(
            (*EXPOSURE, "allowed_cidrs"),
            "together, these networks open the service to the internet over plain HTTP: "
            "name networks, or set workload.exposure.certificate_arn",
        )
    for position, cidr in enumerate(workload.exposure.allowed_cidrs):
        if is_too_open(cidr):
            yield Conflict(
                (*EXPOSURE, "allowed_cidrs", position),
                f"{cidr} opens the service to the internet over plain HTTP: name networks, "
                "or set workload.exposure.certificate_arn",
                EXAMPLE_CIDR,
            )


def protected_data(database: Database, lifecycle: str) -> Iterator[Conflict]:
    """Protected data needs a standby and backups."""
    if lifecycle != "protected" or not database.enabled:
        return
    if not database.multi_az:
        message = "`protected` requires a standby in another zone"
        yield Conflict(("database", "multi_az"), message, value=True)
    if database.backup_days < MIN_PROTECTED_BACKUP_DAYS:
        yield Conflict(
            ("database", "backup_days"),
            f"backups are kept for {database.backup_days} days; `protected` requires "
            f"{MIN_PROTECTED_BACKUP_DAYS} or more",
            14,
        )


def migration_without_database(database: Database, workload: Workload) -> Iterator[Conflict]:
    """A migration requires a database."""
    if workload.migration and not database.enabled:
        yield Conflict(
            ("workload", "migration"), "has no database to migrate: database.enabled is false"
        )


def reserved_variables(database: Database, workload: Workload) -> Iterator[Conflict]:
    """A variable is set once: by the program, in the environment, or as a secret."""

    def is_reserved(key: str) -> bool:
        is_database_variable = database.enabled and key.startswith("DATABASE_")
        return key in RESERVED_VARIABLES or is_database_variable

    for key in workload.environment:
        if is_reserved(key):
            yield Conflict(("workload", "environment", key), "is set by the program")
        elif _is_of_runtime(key):
            message = "is set by the image or Kubernetes, and the service needs that value"
            yield Conflict(("workload", "environment", key), message)
    for position, key in enumerate(workload.secrets):
        path = ("workload", "secrets", position)
        if is_reserved(key):
            yield Conflict(path, f"{key} is set by the program")
        elif _is_of_runtime(key):
            yield Conflict(path, f"{key} is set by the image or Kubernetes")
        elif key in workload.environment:
            yield Conflict(path, f"{key} is also set in workload.environment")


def _is_of_runtime(key: str) -> bool:
    return key in RUNTIME_VARIABLES or key.startswith(RUNTIME_PREFIXES)


def engine_of_instance_class(database: Database) -> Iterator[Conflict]:
    """The instance class must offer the PostgreSQL version."""
    version, family = database.engine_version, database.instance_class.rpartition(".")[0]
    if version is None or not database.enabled or not version.startswith("14."):
        return
    first = FIRST_MINOR_OF_14.get(family, 0)
    if int(version.removeprefix("14.")) < first:
        yield Conflict(
            ("database", "engine_version"),
            f"{family} offers PostgreSQL 14 from 14.{first} on, not {version}",
            f"14.{first}",
        )


def certificate(aws: Aws, workload: Workload) -> Iterator[Conflict]:
    """A certificate needs a load balancer in its region and a DNS name."""
    exposure = workload.exposure
    if exposure.certificate_arn is None:
        return
    region = exposure.certificate_arn.split(":")[3]
    path = (*EXPOSURE, "certificate_arn")
    if exposure.kind == "internal":
        yield Conflict(path, "has no effect on an internal service")
    elif region != aws.region:
        yield Conflict(
            path,
            f"the certificate is in {region}; a load balancer in {aws.region} cannot use it",
            f"arn:aws:acm:{aws.region}:123456789012:certificate/ID",
        )
    elif exposure.host is None:
        message = "is missing: a certificate is issued for a DNS name"
        yield Conflict((*EXPOSURE, "host"), message, EXAMPLE_HOST)


def ingress(workload: Workload) -> Iterator[Conflict]:
    """An Ingress needs a class and a DNS name; other kinds have no class."""
    exposure, class_path = workload.exposure, (*EXPOSURE, "ingress_class")
    if exposure.kind != "ingress":
        if exposure.ingress_class is not None:
            yield Conflict(class_path, f"has no effect on a service of kind {exposure.kind}")
        return
    if exposure.ingress_class is None:
        message = "is missing: an Ingress needs the class of a controller in the cluster"
        yield Conflict(class_path, message, "alb")
    if exposure.host is None:
        message = "is missing: an Ingress needs a DNS name"
        yield Conflict((*EXPOSURE, "host"), message, EXAMPLE_HOST)


def callers(workload: Workload) -> Iterator[Conflict]:
    """A service outside the cluster needs callers."""
    if workload.exposure.kind != "internal" and not workload.exposure.allowed_cidrs:
        path = (*EXPOSURE, "allowed_cidrs")
        message = "no network may call the service: name networks, or 0.0.0.0/0 for all"
        yield Conflict(path, message, EXAMPLE_CIDR, (*path, 0))


def pipeline_source(pipeline: Pipeline) -> Iterator[Conflict]:
    """A source has the keys of its kind and no others."""
    source, path = pipeline.source, ("pipeline", "source")
    if source.kind == "s3":
        for key in ("repository", "branch", "connection_arn", "tags", "paths", "pull_requests"):
            if getattr(source, key):
                yield Conflict((*path, key), "has no effect on a source of kind s3")
        return
    if source.repository is None:
        message = "is missing: a source of kind github needs owner/name"
        yield Conflict((*path, "repository"), message, "example/platform")
    if bool(source.branch) == bool(source.tags):
        yield Conflict(
            (*path, "branch"),
            "set either a branch or tags to start releases",
            None if source.tags else "main",
        )
    elif source.tags:
        reasons = {
            "paths": "CodePipeline selects paths of pushes to a branch, not of tags",
            "pull_requests": "a pull request needs the branch that it is opened against",
        }
        for key, reason in reasons.items():
            if getattr(source, key):
                yield Conflict((*path, key), f"has no effect with tags: {reason}")


def pull_request_builds(pipeline: Pipeline, aws: Aws) -> Iterator[Conflict]:
    """Webhooks need an accepted connection, and a preview the state and a role of its own."""
    source, preview = pipeline.source, pipeline.preview
    keys = {("github_runner",): pipeline.github_runner, ("preview", "enabled"): preview.enabled}
    for key in (key for key, enabled in keys.items() if enabled):
        if source.kind == "s3":
            yield Conflict(("pipeline", *key), "has no effect on a source of kind s3")
        elif source.connection_arn is None:
            yield Conflict(
                ("pipeline", "source", "connection_arn"),
                f"is missing: the webhook of pipeline.{'.'.join(key)} needs a connection that "
                "exists and has been accepted",
                "arn:aws:codeconnections:us-east-1:123456789012:connection/ID",
            )
            break
    for name, example in (
        ("state_bucket", "platform-state-123456789012-us-east-1"),
        ("state_key_arn", "arn:aws:kms:us-east-1:123456789012:key/ID"),
    ):
        if preview.enabled and getattr(preview, name) is None:
            message = "is missing: a preview compares with the stack's state"
            yield Conflict(("pipeline", "preview", name), message, example)
    if preview.enabled and aws.role_arn is not None:
        yield Conflict(
            ("pipeline", "preview", "enabled"),
            "has no effect with aws.role_arn: the code of a pull request would assume that role",
        )


def promotion(pipeline: Pipeline, project: str, stack: str) -> Iterator[Conflict]:
    """An environment cannot promote from itself."""
    path = ("pipeline", "promote_from")
    source = pipeline.promote_from
    if source is None:
        return
    if source.startswith(f"{project}-{stack}/"):
        yield Conflict(path, "is a repository of this environment, which proves no image itself")
    elif not source.endswith(PROVEN_SUFFIX):
        yield Conflict(
            path,
            f"is not a repository of proven images, whose name ends with {PROVEN_SUFFIX}",
            f"{source.removesuffix('-cache')}{PROVEN_SUFFIX}",
        )


def admission(pipeline: Pipeline, today: date) -> Iterator[Conflict]:
    """Promoted images are verified with the key that signed them; acceptances are not over."""
    rules, path = pipeline.admission, ("pipeline", "admission")
    key = (*path, "signing_key")
    if rules.signing_key is not None and not rules.signature:
        yield Conflict(key, "has no effect without pipeline.admission.signature")
    elif rules.signing_key is not None and pipeline.promote_from is None:
        yield Conflict(key, "has no effect: this environment signs its images with its own key")
    elif rules.signature and rules.signing_key is None and pipeline.promote_from is not None:
        source = pipeline.promote_from.partition("/")[0]
        yield Conflict(
            key,
            "is missing: promoted images are verified with the key of the environment that "
            "signed them",
            f"alias/{source}-pipeline-signing",
        )
    findings = (*path, "accepted_findings")
    if rules.accepted_findings and rules.scan == "none":
        yield Conflict(findings, "has no effect: pipeline.admission.scan is none")
    ids = [finding.id for finding in rules.accepted_findings]
    for position, finding in enumerate(rules.accepted_findings):
        if finding.id in ids[:position]:
            yield Conflict((*findings, position, "id"), "is a duplicate of an earlier entry")
        until = date.fromisoformat(finding.until)
        if until < today:
            yield Conflict(
                (*findings, position),
                f"accepts {finding.id} until a day that is over: update the package, or extend it",
            )
        elif until > today + timedelta(days=MAX_ACCEPTED_DAYS):
            yield Conflict(
                (*findings, position, "until"),
                f"is more than {MAX_ACCEPTED_DAYS} days ahead; accept a finding for a shorter time",
                (today + timedelta(days=90)).isoformat(),
            )


def deploy_action(pipeline: Pipeline) -> Iterator[Conflict]:
    """The EKS action does not restore the previous image; the rollback of its stage does."""
    if pipeline.deploy == "eks" and not pipeline.rollback:
        yield Conflict(
            ("pipeline", "deploy"),
            "the EKS action leaves a failed release in the cluster without pipeline.rollback",
            value=True,
            fix_path=("pipeline", "rollback"),
        )


def approval(pipeline: Pipeline, observability: Observability) -> Iterator[Conflict]:
    """An approval needs contacts, and a bake needs rollback."""
    if pipeline.approval and not observability.contacts:
        yield Conflict(
            ("pipeline", "approval"),
            "no contact is notified about an approval: set observability.contacts",
            "team@example.com",
            ("observability", "contacts", 0),
        )
    if pipeline.bake_minutes and not pipeline.rollback:
        yield Conflict(
            ("pipeline", "bake_minutes"),
            "a release that fails its bake needs pipeline.rollback",
            value=True,
            fix_path=("pipeline", "rollback"),
        )
