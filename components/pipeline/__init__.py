"""From commit to cluster: test, build once or take what was proven, approve, deploy by digest, verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.encryption import encryption_key, for_logs
from components.pipeline.access import admit, door
from components.pipeline.artifacts import private_bucket
from components.pipeline.projects import Inside, Workshop, artifact_access
from components.pipeline.source import Source, github, s3
from components.pipeline.stages import approval_stage, build_action, deploy_stage, held_back, source_stage
from components.pipeline.steps import Step, steps
from components.place import Place, place_of
from components.policy import Statement, allow, document, role_trust, service_trust

__all__ = ["Pipeline", "PipelineArgs", "Source"]

ARTIFACT_DAYS = 30
MOST_ALARMS = 5  # rules of one condition (https://docs.aws.amazon.com/codepipeline/latest/userguide/limits.html)


@dataclass(frozen=True, kw_only=True)
class PipelineArgs:
    """What a pipeline needs to know."""

    prefix: str
    """Stage prefix; the pipeline is called `<prefix>-<name>`."""
    source: Source
    buildspecs: str = "app/buildspecs"
    """Folder of the buildspecs within the source."""
    context: str = "app"
    """Folder of the image's build context within the source."""
    base_image: str | None = None
    """Value for the Dockerfile's BASE_IMAGE, where another base than its own is wanted."""
    architecture: Literal["amd64", "arm64"]
    """Architecture of nodes and image, and therefore of the machines that build it."""
    repository_url: pulumi.Input[str]
    repository_name: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    cache_url: pulumi.Input[str]
    cache_arn: pulumi.Input[str]
    promote_from: str | None = None
    """ECR repository of the environment that proves images. Set, nothing is built: its proven digest is taken, or none."""
    cluster_name: pulumi.Input[str]
    cluster_arn: pulumi.Input[str]
    cluster_security_group_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    namespace: str
    """The only Kubernetes namespace in which the pipeline may change anything."""
    deployment: str
    url: pulumi.Input[str] | None
    """Where the service answers, to builds in the VPC too: what a release is verified against. None for a service that
    only the cluster reaches, which is asked through the Kubernetes API.
    """
    topic_arn: pulumi.Input[str]
    """Where approvals and failures are told."""
    topic_key_arn: pulumi.Input[str]
    """Key of that topic, which asking for an approval takes."""
    approval: bool
    """Whether a person must approve each release."""
    execution_mode: Literal["SUPERSEDED", "QUEUED"]
    """Whether a newer commit overtakes a waiting one."""
    rollback: bool
    """Go back to the digest before when deployment or verification fails."""
    alarm_names: Sequence[pulumi.Input[str]] = ()
    """Metric alarms, five at most, that keep a release out while one of them rings."""
    bake_minutes: int = 0
    """Minutes for which a release is watched: first by asking the service all the time, then, for as long again, by those
    alarms. 0 asks once and doesn't watch.
    """
    log_days: int = 30
    protected: bool = False


class Pipeline(pulumi.ComponentResource):
    """Guarantees that what is deployed is what was tested and built, by digest; that each action has a role of its own,
    usable by this pipeline only; and artifacts that are encrypted, reached by TLS only, and expire.

    Refuses to own the Deployment: it sets the image there under its own field manager (docs/decisions/the-pipeline-owns-the-image.md).
    Raises ValueError for more alarms than CodePipeline watches.
    """

    pipeline_name: pulumi.Output[str]
    console_url: pulumi.Output[str]
    """The pipeline in the AWS console."""
    connection: pulumi.Output[str] | None
    """State of the connection to the Git host that the pipeline made, as it was at the last `up` or refresh, and where to
    accept it while it is pending; None where it made none.
    """

    def __init__(self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Pipeline", name, {}, opts)
        if len(args.alarm_names) > MOST_ALARMS:
            raise ValueError(
                f"{name}: {len(args.alarm_names)} alarms to watch; a condition of CodePipeline holds {MOST_ALARMS}"
            )
        physical = f"{args.prefix}-{name}"
        place = place_of(self)
        child = pulumi.ResourceOptions(parent=self)
        key = encryption_key(
            name,
            place=place,
            purpose=f"Artifacts and logs of {physical}",
            alias=physical,
            protected=args.protected,
            parent=self,
            statements=[for_logs(place, f"/aws/codebuild/{physical}-*")],
        )
        bucket = private_bucket(name, key=key, days=ARTIFACT_DAYS, protected=args.protected, parent=self)
        workshop = Workshop(
            prefix=physical,
            buildspecs=args.buildspecs,
            architecture=args.architecture,
            bucket=bucket,
            key=key,
            place=place,
            log_days=args.log_days,
            parent=self,
        )
        origin = (
            github(name, args.source, place, self)
            if args.source.kind == "github"
            else s3(name, pipeline_name=physical, key=key, place=place, protected=args.protected, parent=self)
        )
        inside = Inside(
            vpc_id=args.vpc_id,
            subnet_ids=args.subnet_ids,
            security_group_id=door(name, args.vpc_id, args.cluster_security_group_id, self),
        )
        projects = steps(name, args, workshop, inside, place)
        admitted = ["deploy"] if args.url is not None else ["deploy", "verify"]
        for step in admitted:
            admit(f"{name}-{step}", args.cluster_name, projects[step].role.arn, args.namespace, place, self)

        role = aws.iam.Role(
            name,
            assume_role_policy=service_trust(
                "codepipeline.amazonaws.com",
                account_id=place.account_id,
                source_arn=place.arn("codepipeline", physical),
            ),
            opts=child,
        )
        source_role = aws.iam.Role(f"{name}-source", assume_role_policy=role_trust(role.arn), opts=child)
        source_policy = aws.iam.RolePolicy(
            f"{name}-source",
            role=source_role.id,
            policy=document(*origin.statements, *artifact_access(bucket, key, place)),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            name,
            role=role.id,
            policy=document(
                *artifact_access(bucket, key, place),
                allow("BecomeSource", ["sts:AssumeRole"], [source_role.arn]),
                allow(
                    "RunOwnProjects",
                    ["codebuild:BatchGetBuilds", "codebuild:StartBuild"],
                    [step.project.arn for step in projects.values()],
                ),
                *(_asking(args, place) if args.approval else []),
                *(_watching(args, place) if args.bake_minutes and args.alarm_names else []),
            ),
            opts=child,
        )
        pipeline = aws.codepipeline.Pipeline(
            name,
            name=physical,
            role_arn=role.arn,
            pipeline_type="V2",
            execution_mode=args.execution_mode,
            artifact_stores=[{"location": bucket.id, "type": "S3", "encryption_key": {"id": key.arn, "type": "KMS"}}],
            triggers=origin.triggers,
            stages=_stages(args, source_role, projects, origin.action, origin.commit),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy, source_policy]),
        )
        _notify(name, pipeline, args.topic_arn, self)
        self.pipeline_name = pipeline.name
        self.console_url = pulumi.Output.concat(
            "https://",
            place.region,
            ".console.aws.amazon.com/codesuite/codepipeline/pipelines/",
            pipeline.name,
            "/view",
        )
        self.connection = origin.connection
        self.register_outputs({"pipeline_name": self.pipeline_name})


def _asking(args: PipelineArgs, place: Place) -> list[Statement]:
    """An approval is published in the pipeline's role, which therefore needs the topic's key too
    (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html).
    """
    through_sns = {"StringEquals": {"kms:ViaService": pulumi.Output.concat("sns.", place.region, ".amazonaws.com")}}
    return [
        allow("AskForApproval", ["sns:Publish"], [args.topic_arn]),
        allow("EncryptQuestions", ["kms:Decrypt", "kms:GenerateDataKey*"], [args.topic_key_arn], through_sns),
    ]


def _watching(args: PipelineArgs, place: Place) -> list[Statement]:
    alarms = [place.arn("cloudwatch", pulumi.Output.concat("alarm:", name)) for name in args.alarm_names]
    return [allow("WatchAlarms", ["cloudwatch:DescribeAlarms"], alarms)]


def _stages(
    args: PipelineArgs,
    source_role: aws.iam.Role,
    projects: dict[str, Step],
    source_action: dict[str, Any],
    commit: str,
) -> list[Any]:
    names = {key: step.project.name for key, step in projects.items()}
    made = "Build" if args.promote_from is None else "Promote"
    released = {"COMMIT": "#{image.COMMIT}", "IMAGE_DIGEST": "#{image.IMAGE_DIGEST}"}
    question = f"Release commit {released['COMMIT']} as image {released['IMAGE_DIGEST']}?"
    before = [
        source_stage(source_action, source_role.arn),
        {"name": "Test", "actions": [build_action("Test", names["test"])]},
        {
            "name": made,
            "actions": [build_action(made, names["build"], namespace="image", environment={"COMMIT": commit})],
        },
        *([approval_stage(args.topic_arn, question, args.url, 7 * 24 * 60)] if args.approval else []),
    ]
    if args.alarm_names and args.bake_minutes:
        before[-1] = held_back(before[-1], args.alarm_names)
    return [
        *before,
        deploy_stage(
            [
                build_action("Deploy", names["deploy"], environment=released),
                build_action("Verify", names["verify"], run_order=2, environment=released),
            ],
            rollback=args.rollback,
            alarm_names=args.alarm_names,
            bake_minutes=args.bake_minutes,
        ),
    ]


def _notify(
    name: str, pipeline: aws.codepipeline.Pipeline, topic_arn: pulumi.Input[str], parent: pulumi.Resource
) -> None:
    """What a team wants to hear: failures, and releases that arrived. Approvals are asked for by their own action."""
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
