"""Statements of roles that preview a stack."""

import pulumi

from components.aws.iam import Statement, allow


def preview_access(
    bucket_arn: pulumi.Input[str],
    key_arn: pulumi.Input[str],
    *other_objects: pulumi.Input[str],
) -> list[Statement]:
    """Read the state; of the data that ReadOnlyAccess opens, read nothing but `other_objects`.

    A pull request's code runs with this role.
    """
    objects = pulumi.Output.concat(bucket_arn, "/*")
    return [
        allow("ReadState", ["s3:GetObject"], [objects]),
        allow("DecryptState", ["kms:Decrypt"], [key_arn]),
        {
            "Sid": "DenyOtherObjects",
            "Effect": "Deny",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "NotResource": [objects, *other_objects],
        },
        {
            "Sid": "DenyData",
            "Effect": "Deny",
            "Action": [
                "dynamodb:BatchGetItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "secretsmanager:GetSecretValue",
                "sqs:ReceiveMessage",
            ],
            "Resource": ["*"],
        },
    ]
