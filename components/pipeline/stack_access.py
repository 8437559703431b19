"""Access of builds that preview the stack, and of the build that updates it."""

import pulumi
import pulumi_aws as aws

from components.aws.iam import Statement
from components.aws.preview_access import preview_access
from components.pipeline.cluster_access import ADMIN_POLICY, VIEW_POLICY, access_entry
from components.pipeline.codebuild import BuildProject, ProjectFactory


def read_state(
    factory: ProjectFactory,
    *,
    bucket: str,
    key_arn: str,
    other_objects: pulumi.Input[str] | None = None,
) -> list[Statement]:
    """Statements of a preview: read the state, and of other data nothing but `other_objects`."""
    return preview_access(
        pulumi.Output.concat("arn:", factory.context.partition, ":s3:::", bucket),
        key_arn,
        *([] if other_objects is None else [other_objects]),
    )


def backend_url(bucket: str, key_arn: str) -> str:
    """Return PULUMI_BACKEND_URL; the state is in the region of its key."""
    return f"s3://{bucket}?region={key_arn.split(':')[3]}"


def grant_reading(
    factory: ProjectFactory, step: str, build: BuildProject, cluster_name: pulumi.Input[str]
) -> None:
    """Let a build read the account and the cluster."""
    _grant(factory, step, build, cluster_name, "ReadOnlyAccess", VIEW_POLICY)


def grant_administration(
    factory: ProjectFactory, step: str, build: BuildProject, cluster_name: pulumi.Input[str]
) -> None:
    """Let a build change everything within its permissions boundary, and the cluster."""
    _grant(factory, step, build, cluster_name, "AdministratorAccess", ADMIN_POLICY)


def _grant(
    factory: ProjectFactory,
    step: str,
    build: BuildProject,
    cluster_name: pulumi.Input[str],
    managed_policy: str,
    cluster_policy: str,
) -> None:
    name = f"{factory.name}-{step}"
    aws.iam.RolePolicyAttachment(
        name,
        role=build.role.name,
        policy_arn=factory.context.managed_policy(managed_policy),
        opts=pulumi.ResourceOptions(parent=factory.parent),
    )
    access_entry(
        name,
        cluster_name,
        build.role.arn,
        None,
        factory.context,
        factory.parent,
        policy=cluster_policy,
    )
