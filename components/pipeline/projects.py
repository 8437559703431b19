"""CodeBuild projects, each with a role that can do its one thing and a log group that goes away with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

from components.encryption import log_group
from components.place import Place
from components.policy import Statement, allow, document, service_trust

BUILDERS = {
    "amd64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:6.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:4.0"),
}


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Where in a VPC a project runs."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A project, and the role it works in."""

    project: aws.codebuild.Project
    role: aws.iam.Role


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What all projects of one pipeline share."""

    prefix: str
    """Physical names are `<prefix>-<step>`."""
    buildspecs: str
    """Folder of the buildspecs within the source."""
    architecture: Literal["amd64", "arm64"]
    bucket: aws.s3.Bucket
    key: aws.kms.Key
    place: Place
    log_days: int
    parent: pulumi.Resource

    def project(
        self,
        name: str,
        step: str,
        *,
        minutes: int,
        statements: Sequence[Statement] = (),
        environment: Mapping[str, pulumi.Input[str]] | None = None,
        privileged: bool = False,
        inside: Inside | None = None,
    ) -> Step:
        """Make the project `<name>-<step>`, which runs `<buildspecs>/<step>.yml` for at most `minutes`."""
        child = pulumi.ResourceOptions(parent=self.parent)
        physical = f"{self.prefix}-{step}"
        logs = log_group(
            f"{name}-{step}",
            group_name=f"/aws/codebuild/{physical}",
            days=self.log_days,
            key=self.key,
            parent=self.parent,
        )
        role = aws.iam.Role(
            f"{name}-{step}",
            assume_role_policy=service_trust(
                "codebuild.amazonaws.com",
                account_id=self.place.account_id,
                source_arn=self.place.arn("codebuild", f"project/{physical}"),
            ),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-{step}",
            role=role.id,
            policy=document(
                *self._every_project(logs),
                *(self._in_vpc(inside) if inside else []),
                *statements,
            ),
            opts=child,
        )
        kind, image = BUILDERS[self.architecture]
        project = aws.codebuild.Project(
            f"{name}-{step}",
            name=physical,
            service_role=role.arn,
            artifacts={"type": "CODEPIPELINE"},
            source={"type": "CODEPIPELINE", "buildspec": f"{self.buildspecs}/{step}.yml"},
            environment={
                "type": kind,
                "image": image,
                "compute_type": "BUILD_GENERAL1_SMALL",
                "privileged_mode": privileged,
                "environment_variables": [{"name": key, "value": value} for key, value in (environment or {}).items()],
            },
            vpc_config=_vpc_config(inside),
            logs_config={"cloudwatch_logs": {"group_name": logs.name, "status": "ENABLED"}},
            encryption_key=self.key.arn,
            build_timeout=minutes,
            queued_timeout=60,
            # CodeBuild tries the role's network permissions when it is made.
            opts=pulumi.ResourceOptions(parent=self.parent, depends_on=[policy]),
        )
        return Step(project=project, role=role)

    def _every_project(self, logs: aws.cloudwatch.LogGroup) -> list[Statement]:
        return [
            allow(
                "WriteOwnLog",
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                [pulumi.Output.concat(logs.arn, ":*")],
            ),
            *artifact_access(self.bucket, self.key, self.place, write=False),  # no build hands on an artifact
        ]

    def _in_vpc(self, inside: Inside) -> list[Statement]:
        subnet_arns = [self.place.arn("ec2", pulumi.Output.concat("subnet/", subnet)) for subnet in inside.subnet_ids]
        return [
            # EC2 has no resource-level permissions for these
            # (https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html).
            allow(
                "LookAtNetworks",
                [
                    "ec2:CreateNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeDhcpOptions",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                ],
                ["*"],
            ),
            allow(
                "LendInterfacesToCodeBuild",
                ["ec2:CreateNetworkInterfacePermission"],
                [self.place.arn("ec2", "network-interface/*")],
                {
                    "StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"},
                    "ArnEquals": {"ec2:Subnet": subnet_arns},
                },
            ),
        ]


def artifact_access(bucket: aws.s3.Bucket, key: aws.kms.Key, place: Place, *, write: bool = True) -> list[Statement]:
    """Objects of the artifact bucket, and its key through S3 only."""
    return [
        allow(
            "Artifacts",
            ["s3:GetObject", "s3:GetObjectVersion", *(["s3:PutObject"] if write else [])],
            [pulumi.Output.concat(bucket.arn, "/*")],
            {"StringEquals": {"aws:ResourceAccount": place.account_id}},
        ),
        allow(
            "ArtifactBucket",
            ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"],
            [bucket.arn],
            {"StringEquals": {"aws:ResourceAccount": place.account_id}},
        ),
        allow(
            "ArtifactKey",
            [
                "kms:Decrypt",
                "kms:DescribeKey",
                *(["kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"] if write else []),
            ],
            [key.arn],
            {"StringEquals": {"kms:ViaService": pulumi.Output.concat("s3.", place.region, ".amazonaws.com")}},
        ),
    ]


def _vpc_config(inside: Inside | None) -> Any:
    if inside is None:
        return None
    return {
        "vpc_id": inside.vpc_id,
        "subnets": list(inside.subnet_ids),
        "security_group_ids": [inside.security_group_id],
    }
