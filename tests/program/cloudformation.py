"""Maps the program's AWS resources to a CloudFormation template, for cfn-lint.

Names of properties are Pulumi's with a capital, unless a table here has another. Over 400 lines: a
table's entry or a function for each of 50 types.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.program.recording import Recorded, Recording

Properties = dict[str, Any]

# Types that are a property of another resource in CloudFormation, or do not exist there.
UNMAPPED = {
    "aws:cloudwatch/eventTarget:EventTarget": "a property of the rule",
    "aws:codebuild/webhook:Webhook": "a property of the project",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "CloudFormation cannot adopt it",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "a property of the repository",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "a property of the access entry",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "a property of the role",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "a property of the bucket",
    "aws:s3/bucketLogging:BucketLogging": "a property of the bucket",
    "aws:s3/bucketNotification:BucketNotification": "a property of the bucket",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "a property of the bucket",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "a property of the bucket",
    "aws:s3/bucketServerSideEncryptionConfiguration:"
    "BucketServerSideEncryptionConfiguration": "a property of the bucket",
    "aws:s3/bucketVersioning:BucketVersioning": "a property of the bucket",
}
# Types whose inputs are renamed only; None drops what CloudFormation does not have.
_RENAMED: dict[str, tuple[str, dict[str, str | None]]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": (
        "AWS::CloudWatch::CompositeAlarm",
        {"okActions": "OKActions"},
    ),
    "aws:cloudwatch/dashboard:Dashboard": ("AWS::CloudWatch::Dashboard", {}),
    "aws:cloudwatch/eventRule:EventRule": ("AWS::Events::Rule", {}),
    "aws:cloudwatch/logGroup:LogGroup": ("AWS::Logs::LogGroup", {"name": "LogGroupName"}),
    "aws:ec2/eip:Eip": ("AWS::EC2::EIP", {}),
    "aws:ec2/internetGateway:InternetGateway": ("AWS::EC2::InternetGateway", {"vpcId": None}),
    "aws:ec2/natGateway:NatGateway": ("AWS::EC2::NatGateway", {}),
    "aws:ec2/route:Route": ("AWS::EC2::Route", {}),
    "aws:ec2/routeTable:RouteTable": ("AWS::EC2::RouteTable", {}),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        "AWS::EC2::SubnetRouteTableAssociation",
        {},
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        "AWS::EC2::SecurityGroup",
        {"description": "GroupDescription"},
    ),
    "aws:ec2/subnet:Subnet": ("AWS::EC2::Subnet", {}),
    "aws:ec2/vpc:Vpc": ("AWS::EC2::VPC", {}),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("AWS::EC2::VPCEndpoint", {"policy": "PolicyDocument"}),
    "aws:eks/addon:Addon": (
        "AWS::EKS::Addon",
        {"resolveConflictsOnCreate": "ResolveConflicts", "resolveConflictsOnUpdate": None},
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (
        "AWS::EKS::PodIdentityAssociation",
        {},
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        "AWS::IAM::OIDCProvider",
        {"clientIdLists": "ClientIdList"},
    ),
    "aws:iam/policy:Policy": (
        "AWS::IAM::ManagedPolicy",
        {"name": "ManagedPolicyName", "policy": "PolicyDocument"},
    ),
    "aws:iam/role:Role": (
        "AWS::IAM::Role",
        {"assumeRolePolicy": "AssumeRolePolicyDocument", "name": "RoleName"},
    ),
    "aws:kms/alias:Alias": ("AWS::KMS::Alias", {"name": "AliasName"}),
    "aws:kms/key:Key": (
        "AWS::KMS::Key",
        {
            "customerMasterKeySpec": "KeySpec",
            "deletionWindowInDays": "PendingWindowInDays",
            "policy": "KeyPolicy",
        },
    ),
    "aws:rds/eventSubscription:EventSubscription": (
        "AWS::RDS::EventSubscription",
        {"name": "SubscriptionName", "snsTopic": "SnsTopicArn"},
    ),
    "aws:rds/subnetGroup:SubnetGroup": (
        "AWS::RDS::DBSubnetGroup",
        {"description": "DBSubnetGroupDescription"},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": ("AWS::S3::BucketPolicy", {"policy": "PolicyDocument"}),
    "aws:sns/topic:Topic": ("AWS::SNS::Topic", {"name": "TopicName"}),
    "aws:sns/topicSubscription:TopicSubscription": (
        "AWS::SNS::Subscription",
        {"topic": "TopicArn"},
    ),
    "aws:ssm/parameter:Parameter": ("AWS::SSM::Parameter", {"insecureValue": "Value"}),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "AWS::EC2::SecurityGroupEgress",
        {
            "cidrIpv4": "CidrIp",
            "referencedSecurityGroupId": "DestinationSecurityGroupId",
            "securityGroupId": "GroupId",
        },
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "AWS::EC2::SecurityGroupIngress",
        {
            "cidrIpv4": "CidrIp",
            "referencedSecurityGroupId": "SourceSecurityGroupId",
            "securityGroupId": "GroupId",
        },
    ),
}
_DATABASE: dict[str, str | None] = {
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "dbName": "DBName",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "multiAz": "MultiAZ",
    "username": "MasterUsername",
    "parameterGroupName": "DBParameterGroupName",
    "vpcSecurityGroupIds": "VPCSecurityGroups",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "masterUserSecretKmsKeyId": None,
    "skipFinalSnapshot": None,
    "finalSnapshotIdentifier": None,
}
# Documents, which are JSON texts in Pulumi and objects in CloudFormation.
_DOCUMENTS = {"PolicyDocument", "AssumeRolePolicyDocument", "KeyPolicy", "EventPattern"}
# IDs of AWS by property: recorded ones are logical names.
_IDS = {
    "AllocationId": "eipalloc",
    "DestinationSecurityGroupId": "sg",
    "GatewayId": "igw",
    "GroupId": "sg",
    "NatGatewayId": "nat",
    "RouteTableId": "rtb",
    "RouteTableIds": "rtb",
    "SecurityGroupIds": "sg",
    "SourceSecurityGroupId": "sg",
    "SubnetId": "subnet",
    "SubnetIds": "subnet",
    "Subnets": "subnet",
    "VPCSecurityGroups": "sg",
    "VpcId": "vpc",
}


def template(recording: Recording) -> Properties:
    """Return the template of all AWS resources of a program that CloudFormation has."""
    resources = {
        logical_id(resource): {"Type": mapped[0], "Properties": _finish(mapped[1])}
        for resource in recording.resources
        if (mapped := _map(resource, recording)) is not None
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def logical_id(resource: Recorded) -> str:
    """Return the logical ID, such as `KeyX3AImage`, from type and name."""
    words = re.findall(r"[A-Za-z0-9]+", f"{resource.type.rpartition(':')[2]} {resource.name}")
    return "".join(word[:1].upper() + word[1:] for word in words)


def _map(resource: Recorded, recording: Recording) -> tuple[str, Properties] | None:
    if resource.type in UNMAPPED or not resource.type.startswith(("aws:", "eks:")):
        return None
    inputs = dict(resource.inputs)
    if resource.type in _RENAMED:
        kind, names = _RENAMED[resource.type]
        return kind, _rename(inputs, names)
    kind, function = _MAPPED[resource.type]
    return kind, function(resource, recording)


def _rename(inputs: Mapping[str, Any], names: Mapping[str, str | None]) -> Properties:
    properties = {}
    for key, value in inputs.items():
        name = names.get(key, key[:1].upper() + key[1:])
        if name is not None:
            properties[name] = value if key in {"tags", "dimensions"} else pascal(value)
    return properties


def pascal(value: Any) -> Any:
    """Return a value whose keys begin with capitals."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value


def _finish(properties: Properties) -> Properties:
    """Return the properties with documents, tags and IDs as CloudFormation has them."""
    finished: Properties = {}
    for key, value in properties.items():
        if key in _DOCUMENTS and isinstance(value, str):
            finished[key] = json.loads(value)
        elif key == "Tags" and isinstance(value, dict) and "Includes" not in value:
            finished[key] = [{"Key": name, "Value": text} for name, text in value.items()]
        elif key in _IDS:
            finished[key] = (
                [_aws_id(_IDS[key], item) for item in value]
                if isinstance(value, list)
                else _aws_id(_IDS[key], value)
            )
        elif isinstance(value, dict) and key != "Configuration":
            finished[key] = _finish(value)
        elif isinstance(value, list):
            finished[key] = [_finish(item) if isinstance(item, dict) else item for item in value]
        else:
            finished[key] = value
    return finished


def _aws_id(prefix: str, name: str) -> str:
    return f"{prefix}-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def _alarm(resource: Recorded, recording: Recording) -> Properties:
    dimensions = [{"Name": k, "Value": v} for k, v in resource.inputs["dimensions"].items()]
    properties = _rename(resource.inputs, {"name": "AlarmName", "dimensions": None})
    return {**properties, "Dimensions": dimensions}


def _budget(resource: Recorded, recording: Recording) -> Properties:
    inputs = resource.inputs
    return {
        "Budget": {
            "BudgetName": inputs["name"],
            "BudgetType": inputs["budgetType"],
            "TimeUnit": inputs["timeUnit"],
            "BudgetLimit": {"Amount": float(inputs["limitAmount"]), "Unit": inputs["limitUnit"]},
            "CostFilters": {item["name"]: item["values"] for item in inputs["costFilters"]},
        },
        "NotificationsWithSubscribers": [
            {
                "Notification": {
                    "ComparisonOperator": item["comparisonOperator"],
                    "NotificationType": item["notificationType"],
                    "Threshold": item["threshold"],
                    "ThresholdType": item["thresholdType"],
                },
                "Subscribers": [
                    {"Address": address, "SubscriptionType": "SNS"}
                    for address in item["subscriberSnsTopicArns"]
                ],
            }
            for item in inputs["notifications"]
        ],
    }


def _project(resource: Recorded, recording: Recording) -> Properties:
    names = {"buildTimeout": "TimeoutInMinutes", "queuedTimeout": "QueuedTimeoutInMinutes"}
    properties = _rename(resource.inputs, names)
    source = properties["Source"]
    if "Buildspec" in source:
        source["BuildSpec"] = source.pop("Buildspec")
    logs = properties["LogsConfig"]
    logs["CloudWatchLogs"] = logs.pop("CloudwatchLogs")
    return properties


def _report_group(resource: Recorded, recording: Recording) -> Properties:
    properties = _rename(resource.inputs, {})
    properties["ExportConfig"]["ExportConfigType"] = properties["ExportConfig"].pop("Type")
    return properties


def _pipeline(resource: Recorded, recording: Recording) -> Properties:
    inputs = resource.inputs
    properties = _rename(inputs, {"artifactStores": None, "stages": None, "triggers": None})
    triggers = inputs.get("triggers")
    return {
        **properties,
        "ArtifactStore": pascal(inputs["artifactStores"][0]),
        "Stages": [_stage(stage) for stage in inputs["stages"]],
        **({"Triggers": [_trigger(item) for item in triggers]} if triggers else {}),
    }


def _stage(stage: Mapping[str, Any]) -> Properties:
    conditions = {}
    for name in ("beforeEntry", "onSuccess", "onFailure"):
        if name in stage:
            event = dict(stage[name])
            condition = event.pop("condition", None)
            conditions[name[:1].upper() + name[1:]] = {
                **pascal(event),
                **({"Conditions": [_condition(condition)]} if condition else {}),
            }
    return {
        "Name": stage["name"],
        "Actions": [_action(item) for item in stage["actions"]],
        **conditions,
    }


def _condition(condition: Mapping[str, Any]) -> Properties:
    rules = [
        {**pascal({k: v for k, v in rule.items() if k != "configuration"})}
        | {"Configuration": rule.get("configuration", {})}
        for rule in condition["rules"]
    ]
    return {"Result": condition["result"], "Rules": rules}


def _action(action: Mapping[str, Any]) -> Properties:
    kind = ("category", "owner", "provider", "version")
    artifacts = ("inputArtifacts", "outputArtifacts")
    others = {k: v for k, v in action.items() if k not in {*kind, *artifacts, "configuration"}}
    return {
        **pascal(others),
        "ActionTypeId": {key.capitalize(): action[key] for key in kind},
        "Configuration": action.get("configuration", {}),
        **{
            key[:1].upper() + key[1:]: [{"Name": name} for name in action[key]]
            for key in artifacts
            if key in action
        },
    }


def _trigger(trigger: Mapping[str, Any]) -> Properties:
    git = pascal(trigger["gitConfiguration"])
    for plural, single in (("Pushes", "Push"), ("PullRequests", "PullRequest")):
        if plural in git:
            git[single] = git.pop(plural)
    return {"ProviderType": trigger["providerType"], "GitConfiguration": git}


def _connection(resource: Recorded, recording: Recording) -> Properties:
    names = {"name": "ConnectionName"}
    return {"ConnectionName": resource.name, **_rename(resource.inputs, names)}


def _flow_log(resource: Recorded, recording: Recording) -> Properties:
    names = {"iamRoleArn": "DeliverLogsPermissionArn", "vpcId": "ResourceId"}
    return {**_rename(resource.inputs, names), "ResourceType": "VPC"}


def _launch_template(resource: Recorded, recording: Recording) -> Properties:
    data = _rename(resource.inputs, {"updateDefaultVersion": None})
    return {"LaunchTemplateData": data}


def _repository(resource: Recorded, recording: Recording) -> Properties:
    inputs = resource.inputs
    names: dict[str, str | None] = {
        "name": "RepositoryName",
        "forceDelete": "EmptyOnDelete",
        "encryptionConfigurations": None,
        "imageTagMutabilityExclusionFilters": None,
    }
    properties = _rename(inputs, names)
    policies = [
        item.inputs["policy"]
        for item in recording.all("aws:ecr/lifecyclePolicy:LifecyclePolicy")
        if item.name == resource.name
    ]
    prefix = "ImageTagMutabilityExclusionFilter"
    filters = inputs.get("imageTagMutabilityExclusionFilters")
    return {
        **properties,
        "EncryptionConfiguration": pascal(inputs["encryptionConfigurations"][0]),
        "LifecyclePolicy": {"LifecyclePolicyText": policies[0]},
        **(
            {
                f"{prefix}s": [
                    {f"{prefix}Type": item["filterType"], f"{prefix}Value": item["filter"]}
                    for item in filters
                ]
            }
            if filters
            else {}
        ),
    }


def _access_entry(resource: Recorded, recording: Recording) -> Properties:
    policies = [
        {"PolicyArn": item.inputs["policyArn"], "AccessScope": pascal(item.inputs["accessScope"])}
        for item in recording.all("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
        if item.name == resource.name
    ]
    return {**_rename(resource.inputs, {}), "AccessPolicies": policies}


def _notification_rule(resource: Recorded, recording: Recording) -> Properties:
    targets = [
        {"TargetAddress": item["address"], "TargetType": item["type"]}
        for item in resource.inputs["targets"]
    ]
    return {**_rename(resource.inputs, {}), "Targets": targets}


def _cluster(resource: Recorded, recording: Recording) -> Properties:
    """The control plane that pulumi-eks creates; its role is in the component."""
    inputs = resource.inputs
    properties: Properties = {
        "Name": inputs["name"],
        "Version": inputs["version"],
        "RoleArn": "arn:aws:iam::123456789012:role/cluster",
        "AccessConfig": {"AuthenticationMode": inputs["authenticationMode"]},
        "DeletionProtection": inputs["deletionProtection"],
        "EncryptionConfig": [
            {"Resources": ["secrets"], "Provider": {"KeyArn": inputs["encryptionConfigKeyArn"]}}
        ],
        "KubernetesNetworkConfig": {"ServiceIpv4Cidr": inputs["kubernetesServiceIpAddressRange"]},
        "Logging": {
            "ClusterLogging": {
                "EnabledTypes": [{"Type": kind} for kind in inputs["enabledClusterLogTypes"]]
            }
        },
        "ResourcesVpcConfig": {
            "SubnetIds": [*inputs["privateSubnetIds"], *inputs["publicSubnetIds"]],
            "EndpointPrivateAccess": inputs["endpointPrivateAccess"],
            "EndpointPublicAccess": inputs["endpointPublicAccess"],
        },
        "UpgradePolicy": pascal(inputs["upgradePolicy"]),
        "Tags": inputs["tags"],
    }
    if "publicAccessCidrs" in inputs:
        properties["ResourcesVpcConfig"]["PublicAccessCidrs"] = inputs["publicAccessCidrs"]
    return properties


def _node_group(resource: Recorded, recording: Recording) -> Properties:
    inputs = resource.inputs
    template = inputs["launchTemplate"]
    return {
        "ClusterName": "cluster",
        "NodeRole": "arn:aws:iam::123456789012:role/node",
        "Subnets": inputs["subnetIds"],
        "ScalingConfig": pascal(inputs["scalingConfig"]),
        "InstanceTypes": inputs["instanceTypes"],
        "CapacityType": inputs["capacityType"],
        "AmiType": inputs["amiType"],
        "LaunchTemplate": {"Id": "lt-00000000000000000", "Version": str(template["version"])},
    }


def _role_policy(resource: Recorded, recording: Recording) -> Properties:
    return {
        "PolicyName": resource.name,
        "RoleName": resource.inputs["role"],
        "PolicyDocument": resource.inputs["policy"],
    }


def _database(resource: Recorded, recording: Recording) -> Properties:
    properties = _rename(resource.inputs, _DATABASE)
    secret = {"KmsKeyId": resource.inputs["kmsKeyId"]}  # the same key
    return {
        **properties,
        "AllocatedStorage": str(properties["AllocatedStorage"]),
        "ManageMasterUserPassword": True,
        "MasterUserSecret": secret,
    }


def _parameter_group(resource: Recorded, recording: Recording) -> Properties:
    parameters = {item["name"]: item["value"] for item in resource.inputs["parameters"]}
    return {**_rename(resource.inputs, {}), "Parameters": parameters}


def _topic_policy(resource: Recorded, recording: Recording) -> Properties:
    return {"Topics": [resource.inputs["arn"]], "PolicyDocument": resource.inputs["policy"]}


def _bucket(resource: Recorded, recording: Recording) -> Properties:
    def part(kind: str) -> Mapping[str, Any]:
        name = f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"
        return next((r.inputs for r in recording.all(name) if r.name == resource.name), {})

    rules = part("BucketLifecycleConfiguration")["rules"]
    controls = part("BucketOwnershipControls")["rule"]
    access = {k: v for k, v in part("BucketPublicAccessBlock").items() if k != "bucket"}
    named = {"BucketName": resource.inputs["bucket"]} if "bucket" in resource.inputs else {}
    properties: Properties = {
        **named,
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": rule["id"],
                    "Status": rule["status"],
                    "Prefix": rule["filter"]["prefix"],
                    **(
                        {"ExpirationInDays": rule["expiration"]["days"]}
                        if "expiration" in rule
                        else {}
                    ),
                    "NoncurrentVersionExpiration": pascal(rule["noncurrentVersionExpiration"]),
                    "AbortIncompleteMultipartUpload": pascal(
                        rule["abortIncompleteMultipartUpload"]
                    ),
                }
                for rule in rules
            ]
        },
        "OwnershipControls": {"Rules": [pascal(controls)]},
        "PublicAccessBlockConfiguration": pascal(access),
    }
    if versioning := part("BucketVersioning"):
        properties["VersioningConfiguration"] = pascal(versioning["versioningConfiguration"])
    if logging := part("BucketLogging"):
        properties["LoggingConfiguration"] = {
            "DestinationBucketName": logging["targetBucket"],
            "LogFilePrefix": logging["targetPrefix"],
        }
    if encryption := part("BucketServerSideEncryptionConfiguration"):
        properties["BucketEncryption"] = {
            "ServerSideEncryptionConfiguration": [
                {
                    "BucketKeyEnabled": rule["bucketKeyEnabled"],
                    "ServerSideEncryptionByDefault": {
                        "SSEAlgorithm": rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"],
                        "KMSMasterKeyID": rule["applyServerSideEncryptionByDefault"][
                            "kmsMasterKeyId"
                        ],
                    },
                }
                for rule in encryption["rules"]
            ]
        }
    return properties


_MAPPED: dict[str, tuple[str, Callable[[Recorded, Recording], Properties]]] = {
    "aws:budgets/budget:Budget": ("AWS::Budgets::Budget", _budget),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("AWS::CloudWatch::Alarm", _alarm),
    "aws:codebuild/project:Project": ("AWS::CodeBuild::Project", _project),
    "aws:codebuild/reportGroup:ReportGroup": ("AWS::CodeBuild::ReportGroup", _report_group),
    "aws:codeconnections/connection:Connection": (
        "AWS::CodeConnections::Connection",
        _connection,
    ),
    "aws:codepipeline/pipeline:Pipeline": ("AWS::CodePipeline::Pipeline", _pipeline),
    "aws:ec2/flowLog:FlowLog": ("AWS::EC2::FlowLog", _flow_log),
    "aws:ec2/launchTemplate:LaunchTemplate": ("AWS::EC2::LaunchTemplate", _launch_template),
    "aws:ecr/repository:Repository": ("AWS::ECR::Repository", _repository),
    "aws:codestarnotifications/notificationRule:NotificationRule": (
        "AWS::CodeStarNotifications::NotificationRule",
        _notification_rule,
    ),
    "aws:eks/accessEntry:AccessEntry": ("AWS::EKS::AccessEntry", _access_entry),
    "eks:index:Cluster": ("AWS::EKS::Cluster", _cluster),
    "eks:index:ManagedNodeGroup": ("AWS::EKS::Nodegroup", _node_group),
    "aws:iam/rolePolicy:RolePolicy": ("AWS::IAM::RolePolicy", _role_policy),
    "aws:rds/instance:Instance": ("AWS::RDS::DBInstance", _database),
    "aws:rds/parameterGroup:ParameterGroup": ("AWS::RDS::DBParameterGroup", _parameter_group),
    "aws:s3/bucket:Bucket": ("AWS::S3::Bucket", _bucket),
    "aws:sns/topicPolicy:TopicPolicy": ("AWS::SNS::TopicPolicy", _topic_policy),
}
