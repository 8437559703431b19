"""CodeBuild projects that preview and update the stack, for the stages of a release.

See docs/decisions/0045-update-the-stack-in-the-release-pipeline.md.
"""

import json
from dataclasses import dataclass

import pulumi

from components.aws.data_types import DATA_TYPES
from components.pipeline.args import InfrastructureSettings
from components.pipeline.codebuild import BuildProject, ProjectFactory
from components.pipeline.stack_access import (
    backend_url,
    grant_administration,
    grant_reading,
    read_state,
)

PREVIEW, UPDATE = "infrastructure-preview", "infrastructure-update"
UPDATE_MINUTES = 240


@dataclass(frozen=True, kw_only=True)
class InfrastructureProjects:
    """The two projects. Only the role of `update` may change resources."""

    preview: BuildProject
    update: BuildProject

    @property
    def all(self) -> list[BuildProject]:
        """Projects in the order of their stages."""
        return [self.preview, self.update]


def infrastructure_projects(
    factory: ProjectFactory,
    *,
    stack: str,
    settings: InfrastructureSettings,
    cluster_name: pulumi.Input[str],
    revision_type: str,
) -> InfrastructureProjects:
    """Create the projects in the private subnets, from where they reach a private cluster.

    They are privileged: Pulumi's Docker provider needs a Docker daemon even for images that it
    does not build.
    """
    bucket, key_arn = settings.state_bucket or "", settings.state_key_arn or ""
    environment: dict[str, pulumi.Input[str]] = {
        "STACK": stack,
        "PULUMI_BACKEND_URL": backend_url(bucket, key_arn),
        # What runs this update: it cannot delete or replace itself.
        "OWN_NAME": factory.name,
        "DATA_TYPES": json.dumps(DATA_TYPES),
    }
    preview = factory.project(
        PREVIEW,
        minutes=30,
        in_vpc=True,
        privileged=True,
        writes_artifacts=True,
        environment=environment,
        statements=read_state(
            factory,
            bucket=bucket,
            key_arn=key_arn,
            other_objects=pulumi.Output.concat(factory.bucket.arn, "/*"),
        ),
    )
    grant_reading(factory, PREVIEW, preview, cluster_name)
    update = factory.project(
        UPDATE,
        minutes=UPDATE_MINUTES,
        in_vpc=True,
        privileged=True,
        environment={
            **environment,
            "PIPELINE_NAME": factory.prefix,
            "REVISION_TYPE": revision_type,
        },
    )
    grant_administration(factory, UPDATE, update, cluster_name)
    return InfrastructureProjects(preview=preview, update=update)
