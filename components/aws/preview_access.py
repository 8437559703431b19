"""Statements of roles that preview a stack."""

import pulumi

from components.aws.iam import Statement, allow

# Contents that ReadOnlyAccess opens, or that a later version of it might; a preview reads
# properties of resources only.
DATA = [
    "athena:GetQueryResults*",
    "cassandra:Select",
    "codecommit:GitPull",
    "dax:BatchGetItem",
    "dax:GetItem",
    "dax:Query",
    "dax:Scan",
    "dynamodb:BatchGetItem",
    "dynamodb:GetItem",
    "dynamodb:GetRecords",
    "dynamodb:PartiQLSelect",
    "dynamodb:Query",
    "dynamodb:Scan",
    "es:ESHttpGet",
    "kinesis:GetRecords",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:GetLogRecord",
    "logs:GetQueryResults",
    "logs:StartLiveTail",
    "logs:StartQuery",
    "s3-object-lambda:GetObject*",
    "s3:GetDataAccess",
    "s3:GetObjectTorrent",
    "s3:GetObjectVersionTorrent",
    "sdb:Select",
    "secretsmanager:GetSecretValue",
    "sqs:ReceiveMessage",
]


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
            "Action": DATA,
            "Resource": ["*"],
        },
    ]
