"""One sample per AWS resource type: prerequisites, inputs, an update and a replacement.

Over 400 lines: it is one table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.sandbox.providers.engine_client import Client, Made

Inputs = dict[str, Any]
_numbers = count(1)


class Needs:
    """Creates what a sample requires, and removes it in reverse order."""

    def __init__(self, aws: Client) -> None:
        self.aws = aws
        self.number = next(_numbers)
        self._made: list[Made] = []

    def make(self, token: str, inputs: Mapping[str, Any]) -> Made:
        created = self.aws.create(token, f"need{len(self._made)}-{self.number}", inputs)
        self._made.append(created)
        return created

    def vpc(self) -> Made:
        return self.make("aws:ec2/vpc:Vpc", {"cidrBlock": "10.9.0.0/16"})

    def subnet(self, vpc: Made | None = None) -> Made:
        return self.subnet_in(vpc or self.vpc(), "10.9.1.0/24")

    def subnet_in(self, vpc: Made, cidr: str) -> Made:
        return self.make("aws:ec2/subnet:Subnet", {"vpcId": vpc.id, "cidrBlock": cidr})

    def gateway(self, vpc: Made) -> Made:
        return self.make("aws:ec2/internetGateway:InternetGateway", {"vpcId": vpc.id})

    def table(self, vpc: Made | None = None) -> Made:
        return self.make("aws:ec2/routeTable:RouteTable", {"vpcId": (vpc or self.vpc()).id})

    def group(self, vpc: Made | None = None) -> Made:
        return self.make("aws:ec2/securityGroup:SecurityGroup", {"vpcId": (vpc or self.vpc()).id})

    def address(self) -> Made:
        return self.make("aws:ec2/eip:Eip", {"domain": "vpc"})

    def role(self, service: str = "ec2.amazonaws.com") -> Made:
        return self.make("aws:iam/role:Role", {"assumeRolePolicy": trust(service)})

    def policy(self) -> Made:
        return self.make("aws:iam/policy:Policy", {"policy": allow("s3:GetObject")})

    def log_bucket(self) -> str:
        """Return a bucket that admits access logs."""
        bucket = self.make("aws:s3/bucket:Bucket", {"forceDestroy": True})
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket.id}/*",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.make("aws:s3/bucketPolicy:BucketPolicy", {"bucket": bucket.id, "policy": document})
        return bucket.id

    def key(self, policy: str | None = None) -> Made:
        return self.make(
            "aws:kms/key:Key", {"deletionWindowInDays": 7, **({"policy": policy} if policy else {})}
        )

    def bucket(self) -> Made:
        return self.make("aws:s3/bucket:Bucket", {})

    def repository(self) -> Made:
        return self.make("aws:ecr/repository:Repository", {})

    def log_group(self) -> Made:
        return self.make("aws:cloudwatch/logGroup:LogGroup", {})

    def topic(self) -> str:
        import boto3

        return str(boto3.client("sns").create_topic(Name=f"topic-{self.number}")["TopicArn"])

    def remove(self) -> None:
        for created in reversed(self._made):
            self.aws.delete(created)


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(action: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class Sample:
    """A sample: `inputs(needs)`, `update` in place, `replace` (None if impossible)."""

    token: str
    inputs: Callable[[Needs], Inputs]
    update: Inputs | None = None
    replace: Inputs | None = None
    lives_on: bool = False
    """Deleting only lets go of it."""
    import_id: Callable[[Made], str] = field(default=lambda made: made.id)
    absent: tuple[str, ...] = ()
    """Outputs that this sample has no value for."""


def _rule(needs: Needs) -> Inputs:
    return {
        "securityGroupId": needs.group().id,
        "ipProtocol": "tcp",
        "fromPort": 80,
        "toPort": 80,
        "cidrIpv4": "10.0.0.0/8",
    }


def _nat(needs: Needs) -> Inputs:
    vpc = needs.vpc()
    needs.gateway(vpc)
    return {"subnetId": needs.subnet(vpc).id, "allocationId": needs.address().id}


def _route(needs: Needs) -> Inputs:
    vpc = needs.vpc()
    return {
        "routeTableId": needs.table(vpc).id,
        "destinationCidrBlock": "0.0.0.0/0",
        "gatewayId": needs.gateway(vpc).id,
    }


def _association(needs: Needs) -> Inputs:
    vpc = needs.vpc()
    return {"subnetId": needs.subnet(vpc).id, "routeTableId": needs.table(vpc).id}


def _endpoint(needs: Needs) -> Inputs:
    vpc = needs.vpc()
    return {
        "vpcId": vpc.id,
        "serviceName": "com.amazonaws.us-east-1.s3",
        "routeTableIds": [needs.table(vpc).id],
    }


def _flow_log(needs: Needs) -> Inputs:
    return {
        "vpcId": needs.vpc().id,
        "trafficType": "ALL",
        "logDestination": needs.log_group().state["arn"],
        "iamRoleArn": needs.role("vpc-flow-logs.amazonaws.com").state["arn"],
    }


_RULE = {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/8"]}
_LIFECYCLE = {
    "id": "old",
    "status": "Enabled",
    "filter": {"prefix": "tmp/"},
    "expiration": {"days": 30},
}
_EXPIRE = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
            "action": {"type": "expire"},
        }
    ]
}


def _pull(account: str) -> str:
    statement = {
        "Sid": "pull", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


_LOGS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"},
            {
                "Effect": "Allow",
                "Principal": {"Service": "logs.us-east-1.amazonaws.com"},
                "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                "Resource": "*",
            },
        ],
    }
)

SAMPLES = [
    Sample(
        "aws:ec2/vpc:Vpc",
        lambda _: {"cidrBlock": "10.1.0.0/16"},
        {"enableDnsHostnames": True},
        {"cidrBlock": "10.2.0.0/16"},
    ),
    Sample(
        "aws:ec2/subnet:Subnet",
        lambda n: {
            "vpcId": n.vpc().id,
            "cidrBlock": "10.9.2.0/24",
            "availabilityZone": "us-east-1b",
        },
        {"mapPublicIpOnLaunch": True},
        {"availabilityZone": "us-east-1a"},
    ),
    Sample(
        "aws:ec2/internetGateway:InternetGateway",
        lambda n: {"vpcId": n.vpc().id},
        {"tags": {"a": "b"}},
    ),
    Sample(
        "aws:ec2/eip:Eip",
        lambda _: {"domain": "vpc"},
        {"tags": {"a": "b"}},
        {"networkBorderGroup": "us-east-1-bos-1"},
    ),
    Sample("aws:ec2/natGateway:NatGateway", _nat, {"tags": {"a": "b"}}, {"privateIp": "10.9.1.77"}),
    Sample(
        "aws:ec2/routeTable:RouteTable",
        lambda n: {
            "vpcId": (vpc := n.vpc()).id,
            "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": n.gateway(vpc).id}],
        },
        {"routes": []},
        {"vpcId": "vpc-0123456789abcdef0"},
    ),
    Sample(
        "aws:ec2/route:Route",
        _route,
        None,
        {"destinationCidrBlock": "10.0.0.0/8"},
        import_id=lambda made: f"{made.state['routeTableId']}_0.0.0.0/0",
    ),
    Sample(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        _association,
        None,
        {"subnetId": "subnet-0123456789abcdef0"},
        import_id=lambda made: f"{made.state['subnetId']}/{made.state['routeTableId']}",
    ),
    Sample(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        _endpoint,
        {"policy": allow("s3:GetObject", Principal="*")},
        {"serviceName": "com.amazonaws.us-east-1.dynamodb"},
        absent=("cidrBlocks", "prefixListId"),
    ),
    Sample(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        lambda n: {"vpcId": n.vpc().id},
        {"ingress": [_RULE]},
        {"vpcId": "vpc-0123456789abcdef0"},
        lives_on=True,
    ),
    Sample(
        "aws:ec2/securityGroup:SecurityGroup",
        lambda n: {
            "vpcId": n.vpc().id,
            "description": "first",
            "ingress": [_RULE, {**_RULE, "cidrBlocks": ["192.168.0.0/16"]}],
            "egress": [{**_RULE, "self": True}],
        },
        {"ingress": [_RULE, {**_RULE, "fromPort": 80, "toPort": 80, "description": "plain"}]},
        {"description": "second"},
    ),
    Sample(
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        lambda n: {"securityGroupId": n.group().id, "type": "ingress", **_RULE},
        {"description": "from inside"},
        {"toPort": 444},
        import_id=lambda made: f"{made.state['securityGroupId']}_ingress_tcp_443_443_10.0.0.0/8",
    ),
    Sample(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        _rule,
        {"toPort": 81},
        {"securityGroupId": "sg-0123456789abcdef0"},
    ),
    Sample(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        lambda n: {"securityGroupId": n.group().id, "ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"},
        {"description": "anywhere"},
        {"securityGroupId": "sg-0123456789abcdef0"},
    ),
    Sample("aws:ec2/flowLog:FlowLog", _flow_log, {"tags": {"a": "b"}}, {"trafficType": "REJECT"}),
    Sample(
        "aws:ec2/launchTemplate:LaunchTemplate",
        lambda _: {
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "blockDeviceMappings": [
                {
                    "deviceName": "/dev/xvda",
                    "ebs": {"volumeSize": 20, "encrypted": "true", "volumeType": "gp3"},
                }
            ],
            "tagSpecifications": [{"resourceType": "instance", "tags": {"a": "b"}}],
            "updateDefaultVersion": True,
        },
        {"instanceType": "t4g.medium"},
        {"name": "another"},
    ),
    Sample(
        "aws:iam/role:Role",
        lambda n: {
            "assumeRolePolicy": trust("ec2.amazonaws.com"),
            "managedPolicyArns": [n.policy().id],
            "inlinePolicies": [{"name": "read", "policy": allow("s3:GetObject")}],
        },
        {"description": "what it is for", "assumeRolePolicy": trust("eks.amazonaws.com")},
        {"path": "/apps/"},
    ),
    Sample(
        "aws:iam/rolePolicy:RolePolicy",
        lambda n: {"role": n.role().id, "policy": allow("s3:GetObject")},
        {"policy": allow("s3:PutObject")},
        {"name": "other"},
    ),
    Sample(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        lambda n: {"role": n.role().id, "policyArn": n.policy().id},
        None,
        {"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        import_id=lambda made: f"{made.state['role']}/{made.state['policyArn']}",
    ),
    Sample(
        "aws:iam/policy:Policy",
        lambda _: {"policy": allow("s3:GetObject")},
        {"policy": allow("s3:*")},
        {"description": "new"},
    ),
    Sample(
        "aws:iam/instanceProfile:InstanceProfile",
        lambda n: {"role": n.role().id},
        {"tags": {"a": "b"}},
        {"path": "/a/"},
    ),
    Sample(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        lambda n: {
            "url": f"https://oidc{n.number}.example.com",
            "clientIdLists": ["sts.amazonaws.com"],
            "thumbprintLists": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"],
        },
        {"tags": {"a": "b"}},
        {"url": "https://other.example.com"},
    ),
    Sample(
        "aws:kms/key:Key",
        lambda _: {"enableKeyRotation": True, "deletionWindowInDays": 7},
        {"description": "for secrets"},
        {"keyUsage": "SIGN_VERIFY"},
    ),
    Sample(
        "aws:kms/alias:Alias",
        lambda n: {"name": f"alias/app/{n.number}", "targetKeyId": n.key().id},
        None,
        {"name": "alias/other"},
    ),
    Sample(
        "aws:s3/bucket:Bucket",
        lambda _: {},
        {"tags": {"a": "b"}, "forceDestroy": True},
        {"bucket": "another-one"},
    ),
    Sample(
        "aws:s3/bucketVersioning:BucketVersioning",
        lambda n: {"bucket": n.bucket().id, "versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        {"bucket": "another-one"},
        lives_on=True,
    ),
    Sample(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        lambda n: {
            "bucket": n.bucket().id,
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {
                        "sseAlgorithm": "aws:kms",
                        "kmsMasterKeyId": n.key().state["arn"],
                    },
                    "bucketKeyEnabled": True,
                }
            ],
        },
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        {"bucket": "another-one"},
        lives_on=True,
    ),
    Sample(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        lambda n: {"bucket": n.bucket().id, "blockPublicAcls": True, "blockPublicPolicy": True},
        {"restrictPublicBuckets": True},
        {"bucket": "another-one"},
    ),
    Sample(
        "aws:s3/bucketPolicy:BucketPolicy",
        lambda n: {
            "bucket": n.bucket().id,
            "policy": allow("s3:GetObject", Principal={"AWS": "123456789012"}),
        },
        {"policy": allow("s3:PutObject", Principal={"AWS": "123456789012"})},
        {"bucket": "another-one"},
    ),
    Sample(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        lambda n: {"bucket": n.bucket().id, "rules": [_LIFECYCLE]},
        {
            "rules": [
                {
                    **_LIFECYCLE,
                    "expiration": {"days": 60},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ]
        },
        {"bucket": "another-one"},
    ),
    Sample(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        lambda n: {"bucket": n.bucket().id, "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        {"bucket": "another-one"},
        lives_on=True,
    ),
    Sample(
        "aws:s3/bucketNotification:BucketNotification",
        lambda n: {
            "bucket": n.bucket().id,
            "topics": [{"topicArn": n.topic(), "events": ["s3:ObjectCreated:*"]}],
        },
        {"eventbridge": True},
        {"bucket": "another-one"},
        lives_on=True,
    ),
    Sample(
        "aws:s3/bucketLogging:BucketLogging",
        lambda n: {
            "bucket": n.bucket().id,
            "targetBucket": n.log_bucket(),
            "targetPrefix": "one/",
        },
        {"targetPrefix": "other/"},
        {"bucket": "another-one"},
    ),
    Sample(
        "aws:rds/eventSubscription:EventSubscription",
        lambda n: {"snsTopic": n.topic(), "sourceType": "db-instance"},
        {"eventCategories": ["failure"], "enabled": False},
        {"name": "another-one"},
    ),
    Sample(
        "aws:ecr/repository:Repository",
        lambda n: {
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": n.key().state["arn"]}],
        },
        {"imageScanningConfiguration": {"scanOnPush": False}},
        {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
    ),
    Sample(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        lambda n: {"repository": n.repository().id, "policy": json.dumps(_EXPIRE)},
        {"policy": json.dumps(_EXPIRE).replace("5", "6")},
        {"repository": "other"},
    ),
    Sample(
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        lambda n: {"repository": n.repository().id, "policy": _pull("123456789012")},
        {"policy": _pull("210987654321")},
        {"repository": "other"},
    ),
    Sample(
        "aws:cloudwatch/logGroup:LogGroup",
        lambda n: {"retentionInDays": 7, "kmsKeyId": n.key(_LOGS).state["arn"], "tags": {"a": "b"}},
        {"retentionInDays": 30},
        {"name": "other"},
    ),
]
