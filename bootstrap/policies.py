"""Statements of the permissions boundary."""

from collections.abc import Sequence

import pulumi

from components.aws.iam import Statement, allow


def boundary(
    *,
    boundary_arn: pulumi.Input[str],
    role_arns: Sequence[pulumi.Input[str]],
    oidc_provider_arn: pulumi.Input[str],
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    connection_arn: pulumi.Input[str],
) -> list[Statement]:
    """Allow everything, except to change the bootstrap stack or to get out of the boundary.

    AWS's pattern: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """

    def deny(sid: str, actions: Sequence[str], *resources: pulumi.Input[str]) -> Statement:
        return {
            "Sid": sid,
            "Effect": "Deny",
            "Action": list(actions),
            "Resource": list(resources) or ["*"],
        }

    without_boundary = deny(
        "DenyRolesWithoutBoundary",
        [
            "iam:AttachRolePolicy",
            "iam:CreateRole",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
        ],
    )
    return [
        allow("AllowWithinBoundary", ["*"], ["*"]),
        {
            **without_boundary,
            "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": boundary_arn}},
        },
        # A user with more permissions is a way out, too: its password, keys and groups.
        deny(
            "DenyUsersAndAccount",
            [
                "account:*",
                "iam:AddUserToGroup",
                "iam:AttachGroupPolicy",
                "iam:AttachUserPolicy",
                "iam:CreateAccessKey",
                "iam:CreateLoginProfile",
                "iam:CreateServiceSpecificCredential",
                "iam:CreateUser",
                "iam:DeactivateMFADevice",
                "iam:DeleteRolePermissionsBoundary",
                "iam:DeleteUserPermissionsBoundary",
                "iam:PutGroupPolicy",
                "iam:PutUserPermissionsBoundary",
                "iam:PutUserPolicy",
                "iam:ResetServiceSpecificCredential",
                "iam:UpdateLoginProfile",
                "iam:UploadSSHPublicKey",
                "iam:UploadSigningCertificate",
                "organizations:*",
            ],
        ),
        deny(
            "DenyBootstrapIdentities",
            [
                "iam:AttachRolePolicy",
                "iam:CreatePolicyVersion",
                "iam:Delete*",
                "iam:DetachRolePolicy",
                "iam:PutRolePolicy",
                "iam:SetDefaultPolicyVersion",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateOpenIDConnectProviderThumbprint",
                "iam:AddClientIDToOpenIDConnectProvider",
            ],
            boundary_arn,
            oidc_provider_arn,
            *role_arns,
        ),
        deny(
            "DenyBootstrapBucket",
            # Rules of the lifecycle would delete the versions that nobody may delete.
            ["s3:DeleteBucket*", "s3:PutBucket*", "s3:Put*Configuration"],
            bucket_arn,
        ),
        deny(
            "DenyStateVersions", ["s3:DeleteObjectVersion"], pulumi.Output.concat(bucket_arn, "/*")
        ),
        deny(
            "DenyBootstrapKey",
            [
                "kms:DeleteAlias",
                "kms:DisableKey*",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "kms:UpdateAlias",
            ],
            key_arn,
        ),
        deny("DenyBootstrapConnection", ["codeconnections:DeleteConnection"], connection_arn),
    ]
