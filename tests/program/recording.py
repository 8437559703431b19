"""SDK mocks that record inputs and refuse unexpected resource types and invokes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import resource_pb2

ACCOUNT, REGION = "123456789012", "us-east-1"
TODAY = date(2026, 11, 22)
"""Date for the validation of settings."""

INVOKES: dict[str, dict[str, Any]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": {
        "names": [f"{REGION}{letter}" for letter in "abcd"],
        "zoneIds": [f"use1-az{number}" for number in (1, 2, 4, 5)],
        "id": REGION,
    },
    "aws:index/getCallerIdentity:getCallerIdentity": {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/tester",
        "userId": "tester",
        "id": ACCOUNT,
    },
    "aws:index/getRegion:getRegion": {
        "region": REGION,
        "id": REGION,
        "description": REGION,
        "endpoint": REGION,
    },
    "aws:index/getPartition:getPartition": {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
        "id": "aws",
    },
    "aws:ssm/getParameter:getParameter": {
        "name": "release_version",
        "value": "1.35.5-20261105",
        "insecureValue": "1.35.5-20261105",
        "type": "String",
    },
    "aws:rds/getEngineVersion:getEngineVersion": {},  # by version, from ENGINE_VERSIONS
    "aws:ec2/getAmiIds:getAmiIds": {"ids": ["ami-1"], "owners": ["amazon"], "id": "1"},
    "aws:cloudwatch/getLogGroups:getLogGroups": {"logGroupNames": [], "arns": [], "id": REGION},
    "aws:eks/getClusters:getClusters": {"names": [], "id": REGION},
    "aws:rds/getInstances:getInstances": {
        "instanceIdentifiers": [],
        "instanceArns": [],
        "id": REGION,
    },
    "aws:iam/getRole:getRole": {},  # by name, from ROLES
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        # base64 of the user AWS and a password
        "authorizationToken": "QVdTOnBhc3N3b3JkLW9mLXRoZS1yZWdpc3RyeQ==",
        "userName": "AWS",
        "password": "password-of-the-registry",
        "proxyEndpoint": "https://registry.test",
        "expiresAt": "2026-11-22T12:00:00Z",
        "id": REGION,
    },
}

ADDON_VERSIONS = {
    "vpc-cni": ["v1.21.1-eksbuild.1"],
    "kube-proxy": ["v1.35.3-eksbuild.2", "v1.35.0-eksbuild.2"],
    "eks-pod-identity-agent": ["v1.3.10-eksbuild.2"],
    "coredns": ["v1.13.1-eksbuild.1", "v1.12.4-eksbuild.1"],
    "metrics-server": ["v0.8.0-eksbuild.6"],
}
"""Offered versions; the first is the default."""
ENGINE_VERSIONS = {"17": "17.10", "17.6": "17.6", "17.10": "17.10"}
STORED: dict[str, str] = {}
"""Values of SSM parameters that an earlier run stored, by name."""
RUNNING_ENGINE = {"version": "17.10"}
"""Version of PostgreSQL that instances run."""
ROLES = {"ci", "glass"}
"""Existing roles of the account, in addition to those that the program creates."""

AWS_TYPES = """
ec2/vpc:Vpc ec2/subnet:Subnet ec2/internetGateway:InternetGateway ec2/eip:Eip
ec2/natGateway:NatGateway ec2/routeTable:RouteTable ec2/route:Route
ec2/routeTableAssociation:RouteTableAssociation ec2/vpcEndpoint:VpcEndpoint
ec2/defaultSecurityGroup:DefaultSecurityGroup ec2/securityGroup:SecurityGroup ec2/flowLog:FlowLog
ec2/launchTemplate:LaunchTemplate vpc/securityGroupIngressRule:SecurityGroupIngressRule
vpc/securityGroupEgressRule:SecurityGroupEgressRule iam/role:Role iam/rolePolicy:RolePolicy
iam/rolePolicyAttachment:RolePolicyAttachment kms/key:Key kms/alias:Alias
cloudwatch/logGroup:LogGroup cloudwatch/metricAlarm:MetricAlarm
cloudwatch/compositeAlarm:CompositeAlarm cloudwatch/dashboard:Dashboard
cloudwatch/eventRule:EventRule cloudwatch/eventTarget:EventTarget sns/topic:Topic
sns/topicPolicy:TopicPolicy sns/topicSubscription:TopicSubscription s3/bucket:Bucket
s3/bucketVersioning:BucketVersioning
s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration
s3/bucketPublicAccessBlock:BucketPublicAccessBlock s3/bucketPolicy:BucketPolicy
s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration
s3/bucketOwnershipControls:BucketOwnershipControls s3/bucketNotification:BucketNotification
ecr/repository:Repository ecr/lifecyclePolicy:LifecyclePolicy eks/addon:Addon
eks/accessEntry:AccessEntry eks/accessPolicyAssociation:AccessPolicyAssociation
eks/podIdentityAssociation:PodIdentityAssociation rds/instance:Instance
rds/subnetGroup:SubnetGroup rds/parameterGroup:ParameterGroup
rds/eventSubscription:EventSubscription s3/bucketLogging:BucketLogging ssm/parameter:Parameter
codebuild/project:Project codebuild/reportGroup:ReportGroup codebuild/webhook:Webhook
codepipeline/pipeline:Pipeline
codeconnections/connection:Connection codestarnotifications/notificationRule:NotificationRule
budgets/budget:Budget
"""

OTHER_TYPES = """
pulumi:providers:aws pulumi:providers:kubernetes eks:index:Cluster eks:index:ManagedNodeGroup
docker:index/image:Image kubernetes:core/v1:Namespace kubernetes:core/v1:ServiceAccount
kubernetes:core/v1:Secret kubernetes:core/v1:Service kubernetes:core/v1:ResourceQuota
kubernetes:apps/v1:Deployment kubernetes:autoscaling/v2:HorizontalPodAutoscaler
kubernetes:policy/v1:PodDisruptionBudget kubernetes:networking.k8s.io/v1:NetworkPolicy
kubernetes:networking.k8s.io/v1:Ingress kubernetes:networking.k8s.io/v1:IngressClass
kubernetes:core/v1:ConfigMap kubernetes:karpenter.sh/v1:NodePool
"""

BOOTSTRAP_TYPES = "iam/openIdConnectProvider:OpenIdConnectProvider iam/policy:Policy"
"""Types of bootstrap/ that the program does not use."""
COMPONENTS = ("platform:index:", "platform:bootstrap:")
"""Type tokens of components begin with one of these."""
KNOWN_TYPES = frozenset(
    [
        *(f"aws:{kind}" for kind in (*AWS_TYPES.split(), *BOOTSTRAP_TYPES.split())),
        *OTHER_TYPES.split(),
    ]
)


@dataclass(frozen=True)
class Recorded:
    """One registration: plain inputs, and options as the SDK resolved them."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    request: Any

    @property
    def parent(self) -> str:
        """URN of the parent."""
        return str(self.request.parent)

    @property
    def depends_on(self) -> set[str]:
        """`type::name` of its dependencies, through options or values."""
        return {urn.split("::", 2)[2].rpartition("$")[2] for urn in self.request.dependencies}


@dataclass
class Recording(Mocks):
    """Recorded registrations, with the outputs that a provider would return."""

    resources: list[Recorded] = field(default_factory=list)
    components: list[tuple[str, str]] = field(default_factory=list)
    monitor: MockMonitor | None = None

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith(COMPONENTS):
            return "", dict(args.inputs)
        if args.typ not in KNOWN_TYPES:
            raise AssertionError(f"{args.name}: unexpected resource type {args.typ}")
        outputs = {**args.inputs, **_computed(args)}
        if args.typ == "eks:index:Cluster":
            outputs["eksCluster"] = self._control_plane(args)
        return f"{args.name}-id", outputs

    def _control_plane(self, args: MockResourceArgs) -> dict[str, Any]:
        """Reference to the EKS cluster inside pulumi-eks's component, which mocks do not create."""
        name = str(args.inputs["name"])
        state = {
            "name": name,
            "arn": _arn("eks", f"cluster/{name}"),
            "vpcConfig": {"clusterSecurityGroupId": f"sg-{name}", "subnetIds": []},
        }
        types = "eks:index:Cluster$aws:eks/cluster:Cluster"
        urn = f"urn:pulumi:test::platform::{types}::{args.name}-eksCluster"
        assert self.monitor is not None
        self.monitor.resources[urn] = MockMonitor.ResourceRegistration(urn, name, state)
        return {rpc._special_sig_key: rpc._special_resource_sig, "urn": urn, "id": name}

    def add(self, recorded: Recorded) -> None:
        """Record a registration."""
        if recorded.type.startswith(COMPONENTS):
            self.components.append((recorded.type, recorded.name))
        else:
            self.resources.append(recorded)

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        if args.token not in INVOKES:
            raise AssertionError(f"unexpected invoke {args.token}")
        if args.token == "aws:iam/getRole:getRole":
            return _role(str(args.args["name"]))
        if args.token == "aws:rds/getEngineVersion:getEngineVersion":
            preferred = args.args.get("preferredVersions") or [args.args["version"]]
            offered = [version for version in preferred if version in ENGINE_VERSIONS]
            return _engine_version(str((offered or preferred)[0]))
        return INVOKES[args.token], []

    def one(self, kind: str, name: str) -> Recorded:
        """The only resource of this type and name."""
        resources = [r for r in self.resources if r.type == kind and r.name == name]
        all_names = [(r.type, r.name) for r in self.resources]
        assert len(resources) == 1, f"{len(resources)} of {kind} {name}; all: {all_names}"
        return resources[0]

    def all(self, kind: str) -> list[Recorded]:
        """Every resource of a type."""
        return [resource for resource in self.resources if resource.type == kind]


class RecordingMonitor(MockMonitor):
    """The SDK's mock monitor, plus options of requests and resource references in inputs.

    The SDK passes no options to mocks, and would create resources from references.
    """

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - a gRPC method's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        recording = self.mocks
        assert isinstance(recording, Recording)
        inputs = _plain(json_format.MessageToDict(request.object))
        recording.add(Recorded(request.type, request.name, inputs, request))
        identity, state = recording.new_resource(
            MockResourceArgs(request.type, request.name, inputs)
        )
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, identity, state)
        outputs = json_format.ParseDict(state, struct_pb2.Struct())
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=outputs)


def _plain(value: Any) -> Any:
    """Unwrap secrets, name resource references, and convert whole numbers to int."""
    if isinstance(value, Mapping):
        kind = value.get(rpc._special_sig_key)
        if kind == rpc._special_secret_sig:
            return _plain(value["value"])
        if kind == rpc._special_resource_sig:
            return f"<{str(value['urn']).rpartition('::')[2]}>"
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class RecordedEks:
    """The part of boto3's EKS client that the program uses, with ADDON_VERSIONS."""

    def get_paginator(self, operation: str) -> "RecordedEks":
        assert operation == "describe_addon_versions"
        return self

    def paginate(self, *, addonName: str, kubernetesVersion: str) -> list[dict[str, Any]]:  # noqa: N803
        infos = [
            {
                "addonVersion": version,
                "compatibilities": [
                    {"clusterVersion": kubernetesVersion, "defaultVersion": index == 0}
                ],
            }
            for index, version in enumerate(ADDON_VERSIONS[addonName])
        ]
        return [{"addons": [{"addonName": addonName, "addonVersions": infos}]}]


def _role(name: str) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
    """A role of the account, or the provider's error for a missing one."""
    if name not in ROLES:
        return {}, [("", f"reading IAM Role ({name}): couldn't find resource")]
    return {"arn": f"arn:aws:iam::{ACCOUNT}:role/{name}", "name": name, "id": name}, []


def _engine_version(version: str) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
    if version not in ENGINE_VERSIONS:
        return {}, [("", "no RDS engine versions match the criteria")]
    return {"version": version, "versionActual": ENGINE_VERSIONS[version]}, []


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _without_tag(image_name: str) -> str:
    return re.sub(":[^:/]*$", "", image_name)


def _computed(args: MockResourceArgs) -> dict[str, Any]:
    """Computed outputs that the program reads."""
    name, inputs = args.name, args.inputs
    physical = inputs.get("name") or f"{name}-physical"
    special: dict[str, dict[str, Any]] = {
        "aws:ecr/repository:Repository": {
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{physical}",
            "registryId": ACCOUNT,
            "arn": _arn("ecr", f"repository/{physical}"),
        },
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
            "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/"
            + str(inputs.get("url")).removeprefix("https://")
        },
        "aws:iam/policy:Policy": {"arn": f"arn:aws:iam::{ACCOUNT}:policy/{physical}"},
        "aws:iam/role:Role": {"arn": f"arn:aws:iam::{ACCOUNT}:role/{physical}"},
        "aws:kms/key:Key": {"arn": _arn("kms", f"key/{name}"), "keyId": name},
        "aws:cloudwatch/logGroup:LogGroup": {"arn": _arn("logs", f"log-group:{physical}")},
        "aws:s3/bucket:Bucket": {"arn": f"arn:aws:s3:::{name}-id"},
        "aws:ssm/parameter:Parameter": {
            "insecureValue": STORED.get(str(physical), inputs.get("insecureValue"))
        },
        "aws:rds/instance:Instance": {
            "engineVersionActual": RUNNING_ENGINE["version"],
            "address": f"{name}.rds.test",
            "identifier": inputs.get("identifier", name),
            "masterUserSecrets": [
                {
                    "secretArn": _arn("secretsmanager", f"secret:rds!{name}"),
                    "secretStatus": "active",
                }
            ],
        },
        "aws:codebuild/project:Project": {"arn": _arn("codebuild", f"project/{physical}")},
        "aws:codebuild/reportGroup:ReportGroup": {
            "arn": _arn("codebuild", f"report-group/{physical}")
        },
        "aws:codepipeline/pipeline:Pipeline": {"arn": _arn("codepipeline", physical)},
        "aws:sns/topic:Topic": {"arn": _arn("sns", physical)},
        "aws:ec2/natGateway:NatGateway": {"publicIp": "198.51.100.7"},
        "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
        "aws:codeconnections/connection:Connection": {
            "arn": _arn("codeconnections", f"connection/{name}"),
            "connectionStatus": "PENDING",
        },
        "docker:index/image:Image": {
            "repoDigest": f"{_without_tag(str(inputs.get('imageName', '')))}@sha256:{'a' * 64}"
        },
        "kubernetes:core/v1:Service": {
            "status": {"loadBalancer": {"ingress": [{"hostname": f"{name}.elb.test"}]}}
        },
        "eks:index:Cluster": {
            "kubeconfigJson": json.dumps(
                {"clusters": [{"cluster": {"server": "https://cluster.test"}}]}
            ),
        },
    }
    return {
        "arn": _arn(args.typ.split(":")[1].split("/")[0], physical),
        "name": physical,
        **special.get(args.typ, {}),
    }
