"""What each build may do beside reading its input and writing its log. A test reads every statement in here."""

import pulumi

from components.policy import Statement, allow

PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
PUSH = ["ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"]

# Logging in names no repository, so IAM can't limit it
# (https://docs.aws.amazon.com/AmazonECR/latest/userguide/security_iam_id-based-policy-examples.html).
LOG_IN = allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"])


def of_build(repository_arn: pulumi.Input[str], cache_arn: pulumi.Input[str]) -> list[Statement]:
    """Push the image and its cache."""
    return [LOG_IN, allow("PushImageAndCache", [*PULL, *PUSH, "ecr:DescribeImages"], [repository_arn, cache_arn])]


def of_promotion(repository_arn: pulumi.Input[str], proven_arn: pulumi.Input[str]) -> list[Statement]:
    """Read where images are proven, push into one's own repository."""
    return [
        LOG_IN,
        allow("ReadProvenImages", [*PULL, "ecr:DescribeImages"], [proven_arn]),
        allow("PushImage", [*PULL, *PUSH, "ecr:DescribeImages"], [repository_arn]),
    ]


def of_deploy(cluster_arn: pulumi.Input[str]) -> list[Statement]:
    """Find the cluster. What may be done there, Kubernetes decides by the access entry."""
    return [allow("FindCluster", ["eks:DescribeCluster"], [cluster_arn])]


def of_proof(repository_arn: pulumi.Input[str]) -> list[Statement]:
    """Give a digest that was verified its tag `proven-<commit>`."""
    return [allow("TagProvenImage", ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"], [repository_arn])]
