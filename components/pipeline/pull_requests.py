"""Pipeline of pull requests: test and build, without a right to push or to deploy."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import document, role_trust
from components.pipeline import iam
from components.pipeline.codebuild import BuildProject, ProjectFactory
from components.pipeline.source import Source
from components.pipeline.stages import build_action, source_stage

STEP = "pull-request"


def pull_request_pipeline(
    factory: ProjectFactory,
    *,
    source: Source,
    test: BuildProject,
    environment: dict[str, pulumi.Input[str]],
    artifact_store: Any,
) -> None:
    """Create the pipeline, its roles and the project that builds without pushing.

    Executions are parallel, because pull requests are independent. It shares the test project.
    """
    name, physical = f"{factory.name}-{STEP}", f"{factory.prefix}-{STEP}"
    parent, context = factory.parent, factory.context
    child = pulumi.ResourceOptions(parent=parent)
    build = factory.project(STEP, minutes=30, privileged=True, environment=environment)
    role = aws.iam.Role(
        f"{name}-pipeline", assume_role_policy=iam.pipeline_trust(context), opts=child
    )
    source_role = aws.iam.Role(
        f"{name}-source", assume_role_policy=role_trust(role.arn), opts=child
    )
    bucket_arn, key_arn = factory.bucket.arn, factory.key.arn
    policies = [
        aws.iam.RolePolicy(
            f"{name}-source",
            role=source_role.id,
            policy=document(*source.statements, *iam.write_artifacts(bucket_arn, key_arn, context)),
            opts=child,
        ),
        aws.iam.RolePolicy(
            f"{name}-pipeline",
            role=role.id,
            policy=document(
                *iam.run_pipeline(
                    bucket_arn,
                    key_arn,
                    source_role_arn=source_role.arn,
                    project_arns=[test.project.arn, build.project.arn],
                    context=context,
                )
            ),
            opts=child,
        ),
    ]
    checks = [build_action("Test", test.project.name), build_action("Build", build.project.name)]
    stages: list[Any] = [
        source_stage(source.action, source_role.arn),
        {"name": "Check", "actions": checks},
    ]
    aws.codepipeline.Pipeline(
        name,
        name=physical,
        role_arn=role.arn,
        pipeline_type="V2",
        execution_mode="PARALLEL",
        artifact_stores=[artifact_store],
        triggers=source.pull_request_triggers,
        stages=stages,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=policies),
    )
