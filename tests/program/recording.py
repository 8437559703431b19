"""SDK mocks that answer like a provider would, record plain inputs, and refuse what they don't know."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks

ACCOUNT, REGION = "123456789012", "us-east-1"

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
    "aws:index/getRegion:getRegion": {"region": REGION, "id": REGION, "description": REGION, "endpoint": REGION},
    "aws:index/getPartition:getPartition": {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
        "id": "aws",
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "authorizationToken": "QVdTOnBhc3N3b3JkLW9mLXRoZS1yZWdpc3RyeQ==",  # AWS:password-of-the-registry
        "userName": "AWS",
        "password": "password-of-the-registry",
        "proxyEndpoint": "https://registry.test",
        "expiresAt": "2026-11-22T12:00:00Z",
        "id": REGION,
    },
}

AWS_TYPES = """
ec2/vpc:Vpc ec2/subnet:Subnet ec2/internetGateway:InternetGateway ec2/eip:Eip ec2/natGateway:NatGateway
ec2/routeTable:RouteTable ec2/route:Route ec2/routeTableAssociation:RouteTableAssociation ec2/vpcEndpoint:VpcEndpoint
ec2/defaultSecurityGroup:DefaultSecurityGroup ec2/securityGroup:SecurityGroup ec2/flowLog:FlowLog
ec2/launchTemplate:LaunchTemplate vpc/securityGroupIngressRule:SecurityGroupIngressRule
vpc/securityGroupEgressRule:SecurityGroupEgressRule iam/role:Role iam/rolePolicy:RolePolicy
iam/rolePolicyAttachment:RolePolicyAttachment kms/key:Key kms/alias:Alias cloudwatch/logGroup:LogGroup
cloudwatch/metricAlarm:MetricAlarm cloudwatch/compositeAlarm:CompositeAlarm cloudwatch/dashboard:Dashboard
cloudwatch/eventRule:EventRule cloudwatch/eventTarget:EventTarget sns/topic:Topic sns/topicPolicy:TopicPolicy
sns/topicSubscription:TopicSubscription s3/bucket:Bucket s3/bucketVersioning:BucketVersioning
s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration
s3/bucketPublicAccessBlock:BucketPublicAccessBlock s3/bucketPolicy:BucketPolicy
s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration s3/bucketOwnershipControls:BucketOwnershipControls
s3/bucketNotification:BucketNotification ecr/repository:Repository ecr/lifecyclePolicy:LifecyclePolicy eks/addon:Addon
eks/accessEntry:AccessEntry eks/accessPolicyAssociation:AccessPolicyAssociation
eks/podIdentityAssociation:PodIdentityAssociation rds/instance:Instance rds/subnetGroup:SubnetGroup
rds/parameterGroup:ParameterGroup codebuild/project:Project codepipeline/pipeline:Pipeline
codeconnections/connection:Connection codestarnotifications/notificationRule:NotificationRule budgets/budget:Budget
""".split()

OTHER_TYPES = """
pulumi:providers:aws pulumi:providers:kubernetes eks:index:Cluster eks:index:ManagedNodeGroup docker:index/image:Image
kubernetes:core/v1:Namespace kubernetes:core/v1:ServiceAccount kubernetes:core/v1:Secret kubernetes:core/v1:Service
kubernetes:core/v1:ResourceQuota kubernetes:apps/v1:Deployment kubernetes:autoscaling/v2:HorizontalPodAutoscaler
kubernetes:policy/v1:PodDisruptionBudget kubernetes:networking.k8s.io/v1:NetworkPolicy
kubernetes:networking.k8s.io/v1:Ingress
""".split()

KNOWN_TYPES = frozenset([*(f"aws:{kind}" for kind in AWS_TYPES), *OTHER_TYPES])


@dataclass(frozen=True)
class Recorded:
    """One resource as the engine was asked for it; inputs are plain, options as the SDK resolved them."""

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
        """`type::name` of everything it waits for, through options or values."""
        return {urn.split("::", 2)[2].rpartition("$")[2] for urn in self.request.dependencies}


@dataclass
class Recording(Mocks):
    """Provider-like answers; `resources` holds what was asked for."""

    resources: list[Recorded] = field(default_factory=list)
    components: list[tuple[str, str]] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        request = args.resource_register_request
        if args.typ.startswith("platform:index:"):
            self.components.append((args.typ, args.name))
            return "", dict(args.inputs)
        if args.typ not in KNOWN_TYPES:
            raise AssertionError(f"{args.name} is of the type {args.typ}, which the platform is not known to use")
        self.resources.append(Recorded(args.typ, args.name, _plain(args.inputs), request))
        return f"{args.name}-id", {**args.inputs, **_computed(args)}

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        if args.token not in INVOKES:
            raise AssertionError(f"{args.token} is a call that the platform is not known to make")
        return INVOKES[args.token]

    def one(self, kind: str, name: str) -> Recorded:
        """The only resource of this type and name."""
        found = [resource for resource in self.resources if resource.type == kind and resource.name == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name}; there are {[(r.type, r.name) for r in self.resources]}"
        return found[0]

    def all(self, kind: str) -> list[Recorded]:
        """Every resource of a type."""
        return [resource for resource in self.resources if resource.type == kind]


def _plain(value: Any) -> Any:
    """Secrets unwrapped, resources by their name."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, pulumi.Resource):
        return f"<{value._name}>"
    return value


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _computed(args: MockResourceArgs) -> dict[str, Any]:
    """What AWS would answer: enough for the program to go on."""
    name, inputs = args.name, args.inputs
    physical = inputs.get("name") or f"{name}-physical"
    special = {
        "aws:ecr/repository:Repository": {
            "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{physical}",
            "registryId": ACCOUNT,
            "arn": _arn("ecr", f"repository/{physical}"),
        },
        "aws:iam/role:Role": {"arn": f"arn:aws:iam::{ACCOUNT}:role/{physical}"},
        "aws:kms/key:Key": {"arn": _arn("kms", f"key/{name}"), "keyId": name},
        "aws:cloudwatch/logGroup:LogGroup": {"arn": _arn("logs", f"log-group:{physical}")},
        "aws:s3/bucket:Bucket": {"arn": f"arn:aws:s3:::{name}-id"},
        "aws:rds/instance:Instance": {
            "address": f"{name}.rds.test",
            "identifier": inputs.get("identifier", name),
            "masterUserSecrets": [
                {"secretArn": _arn("secretsmanager", f"secret:rds!{name}"), "secretStatus": "active"}
            ],
        },
        "aws:codebuild/project:Project": {"arn": _arn("codebuild", f"project/{physical}")},
        "aws:codepipeline/pipeline:Pipeline": {"arn": _arn("codepipeline", physical)},
        "aws:sns/topic:Topic": {"arn": _arn("sns", physical)},
        "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
        "aws:codeconnections/connection:Connection": {"arn": _arn("codeconnections", f"connection/{name}")},
        "docker:index/image:Image": {
            "repoDigest": f"{re.sub(':[^:/]*$', '', str(inputs.get('imageName', '')))}@sha256:{'a' * 64}"
        },
        "kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"hostname": f"{name}.elb.test"}]}}},
        "eks:index:Cluster": {
            "eksCluster": {
                "name": inputs.get("name"),
                "arn": _arn("eks", f"cluster/{inputs.get('name')}"),
                "vpcConfig": {"clusterSecurityGroupId": f"sg-{name}"},
            },
            "kubeconfigJson": json.dumps({"clusters": [{"cluster": {"server": "https://cluster.test"}}]}),
            "kubeconfig": {},
        },
    }
    return {"arn": _arn(args.typ.split(":")[1].split("/")[0], physical), "name": physical, **special.get(args.typ, {})}
