"""IAM statements and trust policies of all roles of the pipeline.

Over 400 lines, so that one file answers what each role may do.
"""

from collections.abc import Sequence

import pulumi

from components.aws.context import AwsContext
from components.aws.iam import Conditions, Statement, allow, service_trust, via_service

ECR_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
ECR_PUSH = [
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
]
NETWORK_INTERFACES = [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
# The action names no repository, so IAM cannot limit it
# (https://docs.aws.amazon.com/AmazonECR/latest/userguide/security_iam_id-based-policy-examples.html).
LOG_IN_TO_REGISTRY = allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"])


# Trust policies


def pipeline_trust(context: AwsContext) -> pulumi.Output[str]:
    """Let CodePipeline assume the pipeline role on behalf of this account.

    No documented CodePipeline role has `aws:SourceArn`; whether the service passes it is unknown.
    """
    return service_trust("codepipeline.amazonaws.com", account_id=context.account_id)


def project_trust(context: AwsContext, project_name: str) -> pulumi.Output[str]:
    """Let CodeBuild assume a build role on behalf of its project."""
    return service_trust(
        "codebuild.amazonaws.com",
        account_id=context.account_id,
        source_arn=context.arn("codebuild", f"project/{project_name}"),
    )


def trigger_trust(context: AwsContext, rule_arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Let EventBridge assume the trigger role on behalf of one rule."""
    return service_trust("events.amazonaws.com", account_id=context.account_id, source_arn=rule_arn)


# Pipeline role


def run_pipeline(
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    *,
    source_role_arn: pulumi.Input[str],
    deploy_role_arn: pulumi.Input[str] | None = None,
    project_arns: Sequence[pulumi.Input[str]],
    context: AwsContext,
) -> list[Statement]:
    """Store artifacts, assume the roles of actions and run the projects."""
    assume_deploy_role = (
        []
        if deploy_role_arn is None
        else [allow("AssumeDeployRole", ["sts:AssumeRole"], [deploy_role_arn])]
    )
    return [
        *write_artifacts(bucket_arn, key_arn, context),
        allow("AssumeSourceRole", ["sts:AssumeRole"], [source_role_arn]),
        *assume_deploy_role,
        allow(
            "RunBuildProjects", ["codebuild:BatchGetBuilds", "codebuild:StartBuild"], project_arns
        ),
    ]


def request_approval(
    topic_arn: pulumi.Input[str], topic_key_arn: pulumi.Input[str], context: AwsContext
) -> list[Statement]:
    """Publish approval requests, which requires the topic's key.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    return [
        allow("PublishApprovalRequests", ["sns:Publish"], [topic_arn]),
        allow(
            "EncryptApprovalRequests",
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            [topic_key_arn],
            via_service(context, "sns"),
        ),
    ]


def describe_alarms(
    alarm_names: Sequence[pulumi.Input[str]], context: AwsContext
) -> list[Statement]:
    """Read the alarms that gate a release."""
    alarm_arns = [
        context.arn("cloudwatch", pulumi.Output.concat("alarm:", name)) for name in alarm_names
    ]
    return [allow("DescribeAlarms", ["cloudwatch:DescribeAlarms"], alarm_arns)]


# Source role and trigger role


def use_connection(connection_arn: pulumi.Input[str]) -> list[Statement]:
    """Read the repository through a connection.

    The prefix must match the ARN's: connections created before July 2024 have the old one.
    """
    actions = ["codeconnections:UseConnection", "codestar-connections:UseConnection"]
    return [allow("UseConnection", actions, [connection_arn])]


def read_source_object(bucket_arn: pulumi.Input[str], key: str) -> list[Statement]:
    """Read the source archive from its bucket."""
    return [
        allow(
            "ReadSourceObject",
            [
                "s3:GetObject",
                "s3:GetObjectTagging",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTagging",
            ],
            [pulumi.Output.concat(bucket_arn, "/", key)],
        ),
        allow(
            "ReadSourceBucket",
            [
                "s3:GetBucketAcl",
                "s3:GetBucketLocation",
                "s3:GetBucketVersioning",
                "s3:ListBucket",
            ],
            [bucket_arn],
        ),
    ]


def start_pipeline(pipeline_arn: pulumi.Input[str]) -> list[Statement]:
    """Start the pipeline when a source archive is uploaded."""
    return [allow("StartPipeline", ["codepipeline:StartPipelineExecution"], [pipeline_arn])]


# Role of the EKS action


def run_eks_action(
    subnet_ids: Sequence[pulumi.Input[str]],
    *,
    cluster_arn: pulumi.Input[str],
    log_group_arn: pulumi.Input[str],
    context: AwsContext,
) -> list[Statement]:
    """Run the EKS action in subnets, with the log `/aws/codepipeline/<pipeline>`.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-EKS.html
    """
    return [
        *describe_cluster(cluster_arn),
        allow(
            "CreateNetworkInterfaces",
            [*NETWORK_INTERFACES, "ec2:DescribeRouteTables"],
            ["*"],
        ),
        # The service that attaches the interface is not documented, unlike that of a build.
        allow(
            "GrantNetworkInterfaces",
            ["ec2:CreateNetworkInterfacePermission"],
            [context.arn("ec2", "network-interface/*")],
            {"ArnEquals": {"ec2:Subnet": _subnet_arns(subnet_ids, context)}},
        ),
        allow(
            "WriteDeployLog",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [log_group_arn, pulumi.Output.concat(log_group_arn, ":*")],
        ),
    ]


# Build roles


def write_build_log(log_group_arn: pulumi.Input[str]) -> Statement:
    """Write to the project's log group."""
    return allow(
        "WriteBuildLog",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        [pulumi.Output.concat(log_group_arn, ":*")],
    )


def run_in_vpc(subnet_ids: Sequence[pulumi.Input[str]], context: AwsContext) -> list[Statement]:
    """Attach builds to subnets.

    EC2 has no resource-level permissions for the actions on interfaces
    (https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html).
    """
    return [
        allow("CreateNetworkInterfaces", NETWORK_INTERFACES, ["*"]),
        allow(
            "GrantNetworkInterfacesToCodeBuild",
            ["ec2:CreateNetworkInterfacePermission"],
            [context.arn("ec2", "network-interface/*")],
            {
                "StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"},
                "ArnEquals": {"ec2:Subnet": _subnet_arns(subnet_ids, context)},
            },
        ),
    ]


def _subnet_arns(
    subnet_ids: Sequence[pulumi.Input[str]], context: AwsContext
) -> list[pulumi.Output[str]]:
    return [
        context.arn("ec2", pulumi.Output.concat("subnet/", subnet_id)) for subnet_id in subnet_ids
    ]


def read_repository(connection_arn: pulumi.Input[str]) -> Statement:
    """Clone a repository, and register its webhook, through a connection.

    https://docs.aws.amazon.com/codebuild/latest/userguide/connections-github-app.html
    """
    # The prefix must match the ARN's: connections created before July 2024 have the old one.
    actions = [
        f"{prefix}:{action}"
        for prefix in ("codeconnections", "codestar-connections")
        for action in ("GetConnection", "GetConnectionToken")
    ]
    return allow("ReadRepository", actions, [connection_arn])


def push_image(repository_arn: pulumi.Input[str], cache_arn: pulumi.Input[str]) -> list[Statement]:
    """Push the image and its build cache."""
    actions = [*ECR_PULL, *ECR_PUSH, "ecr:DescribeImages"]
    return [LOG_IN_TO_REGISTRY, allow("PushImageAndCache", actions, [repository_arn, cache_arn])]


def promote_image(
    repository_arn: pulumi.Input[str], proven_arn: pulumi.Input[str]
) -> list[Statement]:
    """Pull proven images and push them to the environment's repository."""
    return [
        LOG_IN_TO_REGISTRY,
        allow("ReadProvenImages", [*ECR_PULL, "ecr:DescribeImages"], [proven_arn]),
        allow("PushImage", [*ECR_PULL, *ECR_PUSH, "ecr:DescribeImages"], [repository_arn]),
    ]


def attach_signature(repository_arn: pulumi.Input[str]) -> list[Statement]:
    """Read an image and push its signature."""
    actions = ["ecr:BatchGetImage", "ecr:DescribeImages", *ECR_PUSH]
    return [LOG_IN_TO_REGISTRY, allow("PushSignature", actions, [repository_arn])]


def read_signature(repository_arn: pulumi.Input[str]) -> list[Statement]:
    """Read the signature of an image."""
    actions = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]
    return [LOG_IN_TO_REGISTRY, allow("ReadSignature", actions, [repository_arn])]


def use_signing_key(
    *actions: str,
    key_arn: pulumi.Input[str],
    alias: str | None,
) -> Statement:
    """Sign or verify; a key of another environment is limited to one alias instead of its ARN.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    condition = {"StringEquals": {"kms:RequestAlias": alias}} if alias else None
    return allow("UseSigningKey", actions, [key_arn], condition)


def read_scan(repository_arn: pulumi.Input[str]) -> Statement:
    """Read the findings of an image scan."""
    return allow("ReadScan", ["ecr:DescribeImageScanFindings"], [repository_arn])


def read_execution(pipeline_arn: pulumi.Input[str]) -> Statement:
    """Read whether an execution is a rollback."""
    return allow("ReadExecution", ["codepipeline:GetPipelineExecution"], [pipeline_arn])


def read_releases(pipeline_arn: pulumi.Input[str]) -> Statement:
    """Read what the pipeline deployed last, for the text of an approval."""
    actions = ["codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions"]
    return allow("ReadReleases", actions, [pipeline_arn])


def report_tests(report_group_arn: pulumi.Input[str]) -> Statement:
    """Add reports to a group that exists.

    https://docs.aws.amazon.com/codebuild/latest/userguide/test-permissions.html
    """
    actions = ["codebuild:BatchPutTestCases", "codebuild:CreateReport", "codebuild:UpdateReport"]
    return allow("ReportTests", actions, [report_group_arn])


def stop_execution(pipeline_arn: pulumi.Input[str]) -> list[Statement]:
    """Stop the execution that CodePipeline starts when it creates the pipeline."""
    actions = ["codepipeline:GetPipelineExecution", "codepipeline:StopPipelineExecution"]
    return [allow("StopExecution", actions, [pipeline_arn])]


def write_results(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], prefix: str, context: AwsContext
) -> list[Statement]:
    """Store the results of previews below `prefix` of the artifact bucket."""
    return [
        allow("WriteResults", ["s3:PutObject"], [pulumi.Output.concat(bucket_arn, f"/{prefix}/*")]),
        allow(
            "EncryptResults",
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            [key_arn],
            via_service(context, "s3"),
        ),
    ]


def read_results(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], prefix: str, context: AwsContext
) -> list[Statement]:
    """Read the results of previews."""
    return [
        allow("ReadResults", ["s3:GetObject"], [pulumi.Output.concat(bucket_arn, f"/{prefix}/*")]),
        allow("DecryptResults", ["kms:Decrypt"], [key_arn], via_service(context, "s3")),
    ]


def write_comment(project_arn: pulumi.Input[str], secret_arn: pulumi.Input[str]) -> list[Statement]:
    """Read the pull request of a preview, and the token that comments on it."""
    return [
        allow("ReadPreview", ["codebuild:BatchGetBuilds"], [project_arn]),
        allow("ReadToken", ["secretsmanager:GetSecretValue"], [secret_arn]),
    ]


def start_build(project_arn: pulumi.Input[str]) -> list[Statement]:
    """Start builds of one project."""
    return [allow("StartBuild", ["codebuild:StartBuild"], [project_arn])]


def describe_cluster(cluster_arn: pulumi.Input[str]) -> list[Statement]:
    """Write a kubeconfig; the access entry decides what is allowed in the cluster."""
    return [allow("DescribeCluster", ["eks:DescribeCluster"], [cluster_arn])]


def prove_image(
    repository_arn: pulumi.Input[str], proven_arn: pulumi.Input[str]
) -> list[Statement]:
    """Copy a verified image to the repository of proven images, which no other role can write."""
    return [
        LOG_IN_TO_REGISTRY,
        allow("ReadImage", [*ECR_PULL, "ecr:DescribeImages"], [repository_arn]),
        allow("PushProvenImage", [*ECR_PULL, *ECR_PUSH, "ecr:DescribeImages"], [proven_arn]),
    ]


# Artifacts, for several roles


def write_artifacts(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], context: AwsContext
) -> list[Statement]:
    """Read and write artifacts. The source action uploads with an ACL header.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
    """
    return _artifacts(
        bucket_arn,
        key_arn,
        context,
        object_actions=["s3:PutObject", "s3:PutObjectAcl"],
        key_actions=["kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
    )


def read_artifacts(
    bucket_arn: pulumi.Input[str], key_arn: pulumi.Input[str], context: AwsContext
) -> list[Statement]:
    """Read artifacts."""
    return _artifacts(bucket_arn, key_arn, context, object_actions=[], key_actions=[])


def _artifacts(
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    context: AwsContext,
    *,
    object_actions: Sequence[str],
    key_actions: Sequence[str],
) -> list[Statement]:
    own_account: Conditions = {"StringEquals": {"aws:ResourceAccount": context.account_id}}
    return [
        allow(
            "Artifacts",
            ["s3:GetObject", "s3:GetObjectVersion", *object_actions],
            [pulumi.Output.concat(bucket_arn, "/*")],
            own_account,
        ),
        allow(
            "ArtifactBucket",
            ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"],
            [bucket_arn],
            own_account,
        ),
        allow(
            "ArtifactKey",
            ["kms:Decrypt", "kms:DescribeKey", *key_actions],
            [key_arn],
            via_service(context, "s3"),
        ),
    ]
