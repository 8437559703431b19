"""IAM role of the pods through EKS Pod Identity."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.aws.context import aws_context
from components.aws.iam import allow, document, pod_identity_trust, via_service


def pod_identity(
    name: str,
    *,
    namespace: str,
    cluster_name: pulumi.Input[str],
    cluster_arn: pulumi.Input[str],
    secret_arns: Sequence[pulumi.Input[str]],
    key_arns: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Create a role that reads `secret_arns` only; return what the first pod depends on."""
    context = aws_context(parent)
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(
        name, assume_role_policy=pod_identity_trust(context, cluster_arn), opts=child
    )
    policies: list[pulumi.Resource] = []
    if secret_arns:
        statements = [
            allow(
                "ReadSecrets",
                ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
                secret_arns,
            ),
            allow(
                "DecryptSecrets",
                ["kms:Decrypt"],
                key_arns,
                via_service(context, "secretsmanager"),
            ),
        ]
        policies.append(
            aws.iam.RolePolicy(name, role=role.id, policy=document(*statements), opts=child)
        )
    association = aws.eks.PodIdentityAssociation(
        name,
        cluster_name=cluster_name,
        namespace=namespace,
        service_account=name,
        role_arn=role.arn,
        opts=child,
    )
    return [*policies, association]
