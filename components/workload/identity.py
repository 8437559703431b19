"""Who the pods are in AWS: a role of their own through Pod Identity, never the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.place import place_of
from components.policy import allow, document, service_trust

if TYPE_CHECKING:
    from components.workload import WorkloadArgs


def pod_identity(name: str, args: WorkloadArgs, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """A role that reads the named secrets and nothing else. Returns what must stand before the first pod starts."""
    place = place_of(parent)
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(
        name,
        assume_role_policy=service_trust(
            "pods.eks.amazonaws.com",
            actions=["sts:AssumeRole", "sts:TagSession"],
            account_id=place.account_id,
            source_arn=args.cluster_arn,
        ),
        opts=child,
    )
    needed: list[pulumi.Resource] = []
    if args.readable_secret_arns:
        statements = [
            allow(
                "ReadNamedSecrets",
                ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
                args.readable_secret_arns,
            ),
            allow(
                "DecryptThem",
                ["kms:Decrypt"],
                args.decrypt_key_arns,
                {
                    "StringEquals": {
                        "kms:ViaService": pulumi.Output.concat("secretsmanager.", place.region, ".amazonaws.com")
                    }
                },
            ),
        ]
        needed.append(aws.iam.RolePolicy(name, role=role.id, policy=document(*statements), opts=child))
    association = aws.eks.PodIdentityAssociation(
        name,
        cluster_name=args.cluster_name,
        namespace=args.namespace,
        service_account=name,
        role_arn=role.arn,
        opts=child,
    )
    return [*needed, association]
