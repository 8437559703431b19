"""CodeBuild projects of a release, each with its own role and log group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.context import AwsContext
from components.aws.iam import Statement, document
from components.aws.log_groups import log_group
from components.pipeline import iam
from components.pipeline.admission import Admission
from components.pipeline.args import Architecture, PipelineArgs
from components.pipeline.buildspecs import inline_buildspec

BUILD_ENVIRONMENTS = {
    "amd64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:6.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:4.0"),
}
QUEUED_MINUTES = 60


@dataclass(frozen=True, kw_only=True)
class VpcConfig:
    """VPC placement of a project."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class GitHubSource:
    """Repository that a project reads through a connection, without a pipeline."""

    repository: str
    """`owner/name`."""
    connection_arn: pulumi.Input[str]
    branch: str | None = None
    """Branch of builds that name no other version."""
    report_status: bool = False
    """Whether commits show the status of their builds."""

    @property
    def properties(self) -> dict[str, Any]:
        """Properties of the project's source, without its buildspec."""
        return {
            "type": "GITHUB",
            "location": f"https://github.com/{self.repository}.git",
            "git_clone_depth": 1,
            "report_build_status": self.report_status,
            "auth": {"type": "CODECONNECTIONS", "resource": self.connection_arn},
        }


@dataclass(frozen=True, kw_only=True)
class BuildProject:
    """A project and its role."""

    project: aws.codebuild.Project
    role: aws.iam.Role


@dataclass(frozen=True, kw_only=True)
class BuildProjects:
    """The projects of a pipeline."""

    test: BuildProject
    build: BuildProject
    """Builds the image, or promotes a proven one."""
    sign: BuildProject | None
    """None where images are promoted or not signed."""
    deploy: BuildProject
    """Deploys a digest that is admitted, or admits it for CodePipeline's EKS action."""
    verify: BuildProject
    deploy_step: str
    """`deploy` or `admit`."""

    @property
    def by_step(self) -> dict[str, BuildProject]:
        """Projects by the step that they run."""
        return {
            "test": self.test,
            "build": self.build,
            **({} if self.sign is None else {"sign": self.sign}),
            self.deploy_step: self.deploy,
            "verify": self.verify,
        }

    @property
    def all(self) -> list[BuildProject]:
        """Projects in the order of their steps."""
        return list(self.by_step.values())


@dataclass(frozen=True, kw_only=True)
class ProjectFactory:
    """Creates projects with the values that all projects of a pipeline share."""

    name: str
    """Logical names are `<name>-<step>`."""
    prefix: str
    """Name of the pipeline; physical names are `<prefix>-<step>`."""
    architecture: Architecture
    bucket: aws.s3.Bucket
    key: aws.kms.Key
    context: AwsContext
    log_days: int
    vpc: VpcConfig
    parent: pulumi.Resource

    def project(
        self,
        step: str,
        *,
        minutes: int,
        statements: Sequence[Statement] = (),
        environment: Mapping[str, pulumi.Input[str]],
        privileged: bool = False,
        in_vpc: bool = False,
        writes_artifacts: bool = False,
        report_group_arn: pulumi.Input[str] | None = None,
        github: GitHubSource | None = None,
        artifacts: Any = None,
        buildspec: str | None = None,
    ) -> BuildProject:
        """Create the project that runs the buildspec of the step for at most `minutes`.

        `report_group_arn` replaces REPORT_GROUP_ARN, because a buildspec has no variables there.
        Without `github`, CodePipeline passes the source and starts the builds.
        """
        child = pulumi.ResourceOptions(parent=self.parent)
        name, physical = f"{self.name}-{step}", f"{self.prefix}-{step}"
        artifact_access = iam.write_artifacts if writes_artifacts else iam.read_artifacts
        logs = log_group(
            name,
            group_name=f"/aws/codebuild/{physical}",
            days=self.log_days,
            key=self.key,
            parent=self.parent,
        )
        role = aws.iam.Role(
            name, assume_role_policy=iam.project_trust(self.context, physical), opts=child
        )
        policy = aws.iam.RolePolicy(
            name,
            role=role.id,
            policy=document(
                iam.write_build_log(logs.arn),
                *(
                    artifact_access(self.bucket.arn, self.key.arn, self.context)
                    if github is None
                    else [iam.read_repository(github.connection_arn)]
                ),
                *(iam.run_in_vpc(self.vpc.subnet_ids, self.context) if in_vpc else []),
                *statements,
            ),
            opts=child,
        )
        text = buildspec or inline_buildspec(step)
        source: Any = {
            **({"type": "CODEPIPELINE"} if github is None else github.properties),
            "buildspec": text
            if report_group_arn is None
            else pulumi.Output.from_input(report_group_arn).apply(
                lambda arn: text.replace("REPORT_GROUP_ARN", arn)
            ),
        }
        artifacts = artifacts or {"type": "CODEPIPELINE" if github is None else "NO_ARTIFACTS"}
        environment_type, image = BUILD_ENVIRONMENTS[self.architecture]
        project = aws.codebuild.Project(
            name,
            name=physical,
            service_role=role.arn,
            artifacts=artifacts,
            source=source,
            source_version=github.branch if github is not None else None,
            environment={
                "type": environment_type,
                "image": image,
                "compute_type": "BUILD_GENERAL1_SMALL",
                "privileged_mode": privileged,
                "environment_variables": [
                    {"name": key, "value": value} for key, value in environment.items()
                ],
            },
            vpc_config=self._vpc_config() if in_vpc else None,
            logs_config={"cloudwatch_logs": {"group_name": logs.name, "status": "ENABLED"}},
            encryption_key=self.key.arn,
            build_timeout=minutes,
            queued_timeout=QUEUED_MINUTES,
            # CodeBuild checks the role's network permissions when it creates the project.
            opts=pulumi.ResourceOptions(parent=self.parent, depends_on=[policy]),
        )
        return BuildProject(project=project, role=role)

    def _vpc_config(self) -> aws.codebuild.ProjectVpcConfigArgs:
        return aws.codebuild.ProjectVpcConfigArgs(
            vpc_id=self.vpc.vpc_id,
            subnets=list(self.vpc.subnet_ids),
            security_group_ids=[self.vpc.security_group_id],
        )


def build_projects(
    factory: ProjectFactory, args: PipelineArgs, admission: Admission
) -> BuildProjects:
    """Create the projects `test`, `build` and `sign` or `promote`, `deploy` and `verify`."""
    target: dict[str, pulumi.Input[str]] = {
        "CLUSTER_NAME": args.cluster.cluster_name,
        "NAMESPACE": args.workload.namespace,
        "DEPLOYMENT": args.workload.deployment_name,
        "REPOSITORY_URL": args.image.repository_url,
        "REPOSITORY_NAME": args.image.repository_name,
    }
    describe_cluster = iam.describe_cluster(args.cluster.cluster_arn)
    url, bake_minutes = args.workload.outside_url, args.settings.bake_minutes
    eks = args.settings.deploy == "eks"
    return BuildProjects(
        test=_test_project(factory, args),
        build=_build_project(factory, args, admission),
        sign=_sign_project(factory, args, admission),
        deploy=_deploy_project(factory, args, admission, target, describe_cluster),
        deploy_step="admit" if eks else "deploy",
        # In the VPC: the service admits addresses of the VPC, not those of CodeBuild.
        verify=factory.project(
            "verify",
            minutes=15 + bake_minutes,
            in_vpc=True,
            environment={
                **target,
                "URL": url or "",
                "PROVEN_URL": args.image.proven_url,
                "PROVEN_NAME": args.image.proven_name,
                "BAKE_MINUTES": str(bake_minutes),
                # The EKS action does not wait for it.
                "WAIT_FOR_ROLLOUT": "1" if eks else "",
            },
            statements=[
                *iam.prove_image(args.image.repository_arn, args.image.proven_arn),
                *(describe_cluster if eks or url is None else []),
            ],
        ),
    )


def _deploy_project(
    factory: ProjectFactory,
    args: PipelineArgs,
    admission: Admission,
    target: Mapping[str, pulumi.Input[str]],
    describe_cluster: Sequence[Statement],
) -> BuildProject:
    """Project that verifies signature and scan of a digest, then deploys it.

    For the EKS action, it writes the manifest instead, without access to the cluster.
    """
    settings, repository_arn = args.settings.admission, args.image.repository_arn
    environment = {**target, **admission.environment, "PIPELINE_NAME": factory.prefix}
    execution = iam.read_execution(factory.context.arn("codepipeline", factory.prefix))
    statements = [
        *(iam.read_signature(repository_arn) if settings.signature else []),
        *admission.verification(),
        *admission.scan(repository_arn),
        *([] if settings.scan == "none" else [execution]),
    ]
    if args.settings.deploy == "build":
        return factory.project(
            "deploy",
            minutes=20,
            in_vpc=True,
            environment=environment,
            statements=[*describe_cluster, *statements],
        )
    return factory.project(
        "admit",
        minutes=15,
        writes_artifacts=True,
        environment={
            **environment,
            "CONTAINERS": " ".join(args.workload.container_names),
            "INIT_CONTAINERS": " ".join(args.workload.init_container_names),
        },
        statements=statements,
    )


def _test_project(factory: ProjectFactory, args: PipelineArgs) -> BuildProject:
    """Test project with its report group."""
    group = aws.codebuild.ReportGroup(
        f"{factory.name}-test",
        name=f"{factory.prefix}-test-results",
        type="TEST",
        export_config={"type": "NO_EXPORT"},
        delete_reports=True,
        opts=pulumi.ResourceOptions(parent=factory.parent),
    )
    return factory.project(
        "test",
        minutes=20,
        environment={"CONTEXT": args.build.context},
        statements=[iam.report_tests(group.arn)],
        report_group_arn=group.arn,
    )


def image_environment(args: PipelineArgs) -> dict[str, pulumi.Input[str]]:
    """Variables of a build of the image, whether it is pushed or not."""
    return {
        "CONTEXT": args.build.context,
        "PLATFORM": f"linux/{args.architecture}",
        "BASE_IMAGE": args.build.base_image or "",
        "BUILDKIT_IMAGE": args.settings.buildkit_image,
    }


def _build_project(
    factory: ProjectFactory, args: PipelineArgs, admission: Admission
) -> BuildProject:
    settings, repository_arn = args.settings, args.image.repository_arn
    pipeline_arn = factory.context.arn("codepipeline", factory.prefix)
    image: dict[str, pulumi.Input[str]] = {
        "REPOSITORY_URL": args.image.repository_url,
        "REPOSITORY_NAME": args.image.repository_name,
        "REPOSITORY": settings.source.repository or "",
    }
    releases = [iam.read_releases(pipeline_arn)] if settings.approval else []
    if settings.promote_from is not None:
        proven_arn = factory.context.arn("ecr", f"repository/{settings.promote_from}")
        return factory.project(
            "promote",
            minutes=15,
            environment={
                **image,
                **admission.environment,
                "PROVEN_NAME": settings.promote_from,
                "PIPELINE_NAME": factory.prefix,
                "APPROVAL": "1" if settings.approval else "",
            },
            statements=[
                *iam.promote_image(repository_arn, proven_arn),
                *iam.stop_execution(pipeline_arn),
                *admission.verification(),
                *admission.scan(repository_arn),
                *releases,
            ],
        )
    return factory.project(
        "build",
        minutes=30,
        privileged=True,  # required by BuildKit
        environment={
            **image,
            **image_environment(args),
            "CACHE_URL": args.image.cache_url,
            "SBOM_GENERATOR": settings.sbom_generator if settings.admission.signature else "",
            "PIPELINE_NAME": factory.prefix,
            "APPROVAL": "1" if settings.approval else "",
        },
        statements=[*iam.push_image(repository_arn, args.image.cache_arn), *releases],
    )


def _sign_project(
    factory: ProjectFactory, args: PipelineArgs, admission: Admission
) -> BuildProject | None:
    """Project whose role alone may sign; it runs no code of the release and is not privileged."""
    if not args.settings.admission.signature or args.settings.promote_from is not None:
        return None
    return factory.project(
        "sign",
        minutes=20,
        environment={
            "REPOSITORY_URL": args.image.repository_url,
            "REPOSITORY_NAME": args.image.repository_name,
            **admission.environment,
        },
        statements=[
            *iam.attach_signature(args.image.repository_arn),
            *admission.signing(),
            *admission.scan(args.image.repository_arn),
        ],
    )
