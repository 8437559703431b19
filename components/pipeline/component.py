"""CodePipeline: test, build or promote, approve, deploy by digest, verify."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext, aws_context
from components.aws.iam import document, role_trust
from components.aws.kms import encryption_key
from components.aws.log_groups import encrypt_log_group
from components.pipeline import iam
from components.pipeline.admission import admission
from components.pipeline.args import PipelineArgs
from components.pipeline.artifacts import access_log_bucket, private_bucket
from components.pipeline.cluster_access import (
    EDIT_POLICY,
    VIEW_POLICY,
    access_entry,
    deploy_security_group,
)
from components.pipeline.codebuild import (
    BuildProject,
    BuildProjects,
    ProjectFactory,
    VpcConfig,
    build_projects,
    image_environment,
)
from components.pipeline.eks_deploy import EksDeployment, eks_deployment
from components.pipeline.github_builds import github_runner, pull_request_previews
from components.pipeline.infrastructure import InfrastructureProjects, infrastructure_projects
from components.pipeline.pull_requests import pull_request_pipeline
from components.pipeline.source import Source, github_source, s3_source
from components.pipeline.stages import MAX_ALARMS, infrastructure_stages, release_stages

__all__ = ["Pipeline"]

ARTIFACT_DAYS = 30


class Pipeline(pulumi.ComponentResource):
    """Pipeline that deploys, by digest, the image that was tested, built, scanned and signed.

    Each action has a role of its own that only this pipeline can use. Artifacts are encrypted,
    reached over TLS only, and expire. Does not own the Deployment: it sets the image under its own
    field manager (docs/decisions/0001-the-pipeline-owns-the-image.md).
    Raises ValueError for more alarms than a condition of CodePipeline holds.
    """

    pipeline_name: pulumi.Output[str]
    console_url: pulumi.Output[str]
    """The pipeline in the AWS console."""
    connection: pulumi.Output[str] | None
    """Status of the connection that was created, as of the last `up` or refresh, and where to
    accept it while it is pending; None for an existing connection and for S3.
    """

    def __init__(
        self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Pipeline", name, {}, opts)
        settings, alarm_names = args.settings, args.observability.release_alarm_names
        if len(alarm_names) > MAX_ALARMS:
            raise ValueError(
                f"{name}: a condition of CodePipeline holds {MAX_ALARMS} alarms, "
                f"not {len(alarm_names)}"
            )
        physical = f"{args.prefix}-{name}"
        context = aws_context(self)
        child = pulumi.ResourceOptions(parent=self)
        key = encryption_key(
            name,
            context=context,
            purpose=f"Artifacts and logs of {physical}",
            alias=physical,
            protected=args.protected,
            parent=self,
            statements=[
                encrypt_log_group(
                    context,
                    f"/aws/codebuild/{physical}-*",
                    *([f"/aws/codepipeline/{physical}"] if settings.deploy == "eks" else []),
                )
            ],
        )
        logs = access_log_bucket(
            f"{name}-access-logs", context=context, protected=args.protected, parent=self
        )
        bucket = private_bucket(
            name, key=key, days=ARTIFACT_DAYS, logs=logs, protected=args.protected, parent=self
        )
        source = (
            github_source(name, settings.source, context, self)
            if settings.source.kind == "github"
            else s3_source(
                name,
                pipeline_name=physical,
                key=key,
                logs=logs,
                context=context,
                protected=args.protected,
                parent=self,
            )
        )
        factory = ProjectFactory(
            name=name,
            prefix=physical,
            architecture=args.architecture,
            bucket=bucket,
            key=key,
            context=context,
            log_days=settings.log_days,
            vpc=VpcConfig(
                vpc_id=args.network.vpc_id,
                subnet_ids=args.network.private_subnet_ids,
                security_group_id=deploy_security_group(
                    name, args.network.vpc_id, args.cluster.security_group_id, self
                ),
            ),
            parent=self,
        )
        rules = admission(
            name,
            prefix=physical,
            settings=settings.admission,
            protected=args.protected,
            context=context,
            parent=self,
        )
        projects = build_projects(factory, args, rules)
        for step, policy_name in _cluster_access(args).items():
            access_entry(
                f"{name}-{step}",
                args.cluster.cluster_name,
                projects.by_step[step].role.arn,
                args.workload.namespace,
                context,
                self,
                policy=policy_name,
            )
        infrastructure = (
            infrastructure_projects(
                factory,
                stack=args.stack,
                settings=settings.infrastructure,
                cluster_name=args.cluster.cluster_name,
                revision_type=source.revision_type,
            )
            if settings.infrastructure.enabled
            else None
        )
        role = aws.iam.Role(name, assume_role_policy=iam.pipeline_trust(context), opts=child)
        eks = (
            eks_deployment(
                factory,
                pipeline_role_arn=role.arn,
                cluster=args.cluster,
                workload=args.workload,
            )
            if settings.deploy == "eks"
            else None
        )
        source_role = aws.iam.Role(
            f"{name}-source", assume_role_policy=role_trust(role.arn), opts=child
        )
        source_policy = aws.iam.RolePolicy(
            f"{name}-source",
            role=source_role.id,
            policy=document(*source.statements, *iam.write_artifacts(bucket.arn, key.arn, context)),
            opts=child,
        )
        builds = [*projects.all, *([] if infrastructure is None else infrastructure.all)]
        policy = self._policy(name, args, role, source_role, bucket, key, builds, eks, context)
        artifact_store: Any = {
            "location": bucket.id,
            "type": "S3",
            "encryption_key": {"id": key.arn, "type": "KMS"},
        }
        pipeline = aws.codepipeline.Pipeline(
            name,
            name=physical,
            role_arn=role.arn,
            pipeline_type="V2",
            execution_mode=settings.execution_mode,
            artifact_stores=[artifact_store],
            triggers=source.triggers,
            stages=_stages(args, source, source_role, projects, eks, infrastructure),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[policy, source_policy, *([] if eks is None else [eks.policy])],
            ),
        )
        if settings.source.pull_requests:
            pull_request_pipeline(
                factory,
                source=source,
                test=projects.test,
                environment=image_environment(args),
                artifact_store=artifact_store,
            )
        if settings.github_runner:
            github_runner(factory, settings.source)
        if settings.preview.enabled:
            pull_request_previews(
                factory,
                stack=args.stack,
                source=settings.source,
                settings=settings.preview,
                cluster_name=args.cluster.cluster_name,
            )
        _notification_rule(name, pipeline, args.observability.topic_arn, self)
        self.pipeline_name = pipeline.name
        self.console_url = pulumi.Output.concat(
            "https://",
            context.region,
            ".console.aws.amazon.com/codesuite/codepipeline/pipelines/",
            pipeline.name,
            "/view",
        )
        self.connection = source.connection
        self.register_outputs({"pipeline_name": self.pipeline_name})

    def _policy(
        self,
        name: str,
        args: PipelineArgs,
        role: aws.iam.Role,
        source_role: aws.iam.Role,
        bucket: aws.s3.Bucket,
        key: aws.kms.Key,
        builds: Sequence[BuildProject],
        eks: EksDeployment | None,
        context: AwsContext,
    ) -> aws.iam.RolePolicy:
        observability = args.observability
        statements = iam.run_pipeline(
            bucket.arn,
            key.arn,
            source_role_arn=source_role.arn,
            deploy_role_arn=None if eks is None else eks.role.arn,
            project_arns=[build.project.arn for build in builds],
            context=context,
        )
        if args.settings.approval or args.settings.infrastructure.enabled:
            statements += iam.request_approval(
                observability.topic_arn, observability.topic_key_arn, context
            )
        if args.settings.bake_minutes and observability.release_alarm_names:
            statements += iam.describe_alarms(observability.release_alarm_names, context)
        return aws.iam.RolePolicy(
            name,
            role=role.id,
            policy=document(*statements),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _cluster_access(args: PipelineArgs) -> dict[str, str]:
    """Access policy in the service's namespace of each step that reaches the cluster."""
    policies = {}
    if args.settings.deploy == "build":
        policies["deploy"] = EDIT_POLICY
    if args.workload.outside_url is None:
        policies["verify"] = EDIT_POLICY  # the service proxy needs more than a view
    elif args.settings.deploy == "eks":
        policies["verify"] = VIEW_POLICY  # it waits for the roll-out
    return policies


def _stages(
    args: PipelineArgs,
    source: Source,
    source_role: aws.iam.Role,
    projects: BuildProjects,
    eks: EksDeployment | None,
    infrastructure: InfrastructureProjects | None,
) -> list[Any]:
    has_author = args.settings.source.kind == "github"
    return release_stages(
        source_action=source.action,
        source_role_arn=source_role.arn,
        commit=source.commit,
        has_author=has_author,
        projects={key: build.project.name for key, build in projects.by_step.items()},
        eks_action=None if eks is None else eks.action,
        promotes=args.settings.promote_from is not None,
        approval_topic_arn=args.observability.topic_arn if args.settings.approval else None,
        url=args.workload.outside_url,
        rollback=args.settings.rollback,
        alarm_names=args.observability.release_alarm_names,
        bake_minutes=args.settings.bake_minutes,
        infrastructure=[]
        if infrastructure is None
        else infrastructure_stages(
            preview_project=infrastructure.preview.project.name,
            update_project=infrastructure.update.project.name,
            stack=args.stack,
            revision=source.revision,
            approval_topic_arn=args.observability.topic_arn,
            has_author=has_author,
        ),
    )


def _notification_rule(
    name: str,
    pipeline: aws.codepipeline.Pipeline,
    topic_arn: pulumi.Input[str],
    parent: pulumi.Resource,
) -> None:
    """Notify about failed and successful executions; the approval action notifies by itself."""
    aws.codestarnotifications.NotificationRule(
        name,
        name=pipeline.name,
        resource=pipeline.arn,
        detail_type="FULL",
        event_type_ids=[
            "codepipeline-pipeline-pipeline-execution-failed",
            "codepipeline-pipeline-pipeline-execution-succeeded",
        ],
        targets=[{"address": topic_arn, "type": "SNS"}],
        opts=pulumi.ResourceOptions(parent=parent),
    )
