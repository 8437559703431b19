"""A resource monitor that records registrations and returns their expected results."""

# ruff: noqa: N802 - names of gRPC service methods

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
ARN = "arn:aws:eks:us-east-1:123456789012:cluster/it"

# Properties that AWS sets, by type; other properties are returned unchanged.
ADDED: dict[str, dict[str, Any]] = {
    "aws:eks/cluster:Cluster": {
        "arn": ARN,
        "name": "it",
        "version": "1.35",
        "endpoint": "https://127.0.0.1:1/it",
        "certificateAuthority": {"data": "Q0E="},
        "identities": [{"oidcs": [{"issuer": "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"}]}],
    },
    "aws:iam/role:Role": {"arn": "arn:aws:iam::123456789012:role/it", "name": "the-role"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1, "name": "template"},
    "aws:ec2/securityGroup:SecurityGroup": {"arn": "arn:sg"},
    "aws:ec2/securityGroupRule:SecurityGroupRule": {"securityGroupRuleId": "sgr-1"},
}


@dataclass
class Registered:
    """A registration."""

    type: str
    name: str
    parent: str
    inputs: dict[str, Any]
    depends: list[str]
    ignored: list[str]
    providers: dict[str, str]
    outputs: dict[str, Any] = field(default_factory=dict)


class Engine(resource_pb2_grpc.ResourceMonitorServicer):
    """A resource monitor that records every registration."""

    def __init__(self) -> None:
        self.made: dict[str, Registered] = {}
        self.preview = False
        self.lock = threading.Lock()

    def GetDeploymentInfo(self, request: Any, context: Any) -> resource_pb2.DeploymentInfo:
        features = (
            "SECRETS",
            "RESOURCE_REFERENCES",
            "OUTPUT_VALUES",
            "ALIAS_SPECS",
            "DELETED_WITH",
        )
        existing = [getattr(resource_pb2, f"RESOURCE_MONITOR_FEATURE_{name}") for name in features]
        return resource_pb2.DeploymentInfo(supportedFeatures=existing)

    def SupportsFeature(self, request: Any, context: Any) -> resource_pb2.SupportsFeatureResponse:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id != "transforms")

    def RegisterResource(self, request: Any, context: Any) -> resource_pb2.RegisterResourceResponse:
        urn = f"urn:pulumi:dev::test::{request.type}::{request.name}"
        inputs = json_format.MessageToDict(request.object)
        state = {**inputs, **ADDED.get(request.type, {})} if request.custom else {}
        if request.type == "aws:eks/cluster:Cluster":
            state["vpcConfig"] = {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-eks"}
            state["kubernetesNetworkConfig"] = {
                "ipFamily": "ipv4",
                "serviceIpv4Cidr": "10.100.0.0/16",
            }
        if self.preview:
            state = {**state, **dict.fromkeys(ADDED.get(request.type, {}), UNKNOWN)}
        with self.lock:
            assert urn not in self.made, f"{urn} was registered twice"
            self.made[urn] = Registered(
                request.type,
                request.name,
                request.parent.rsplit("::", 1)[-1],
                inputs,
                sorted(dependency.rsplit("::", 1)[-1] for dependency in request.dependencies),
                list(request.ignoreChanges),
                dict(request.providers),
                state,
            )
        response = resource_pb2.RegisterResourceResponse(urn=urn, object=struct(state))
        if request.custom:
            response.id = "" if self.preview else f"id-{request.name}"
        return response

    def RegisterResourceOutputs(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.made[request.urn].outputs = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        args = json_format.MessageToDict(request.args)
        existing: dict[str, dict[str, Any]] = {
            "aws:index/getPartition:getPartition": {
                "partition": "aws",
                "dnsSuffix": "amazonaws.com",
            },
            "aws:eks/getAddonVersion:getAddonVersion": {
                "version": f"newest-{args.get('addonName')}"
            },
            "aws:ssm/getParameter:getParameter": {"value": f"ami:{args.get('name')}"},
        }
        if request.tok == "pulumi:pulumi:getResource":
            result = self.made[args["urn"]]
            existing[request.tok] = {
                "urn": args["urn"],
                "id": f"id-{result.name}",
                "state": result.outputs,
            }
        return provider_pb2.InvokeResponse(**{"return": struct(existing[request.tok])})

    def child(self, name: str, type: str = "") -> Registered:
        [result] = [r for r in self.made.values() if r.name == name and r.type.endswith(type)]
        return result

    def tree(self) -> set[tuple[str, str, str]]:
        return {(r.type, r.name, r.parent) for r in self.made.values()}


def struct(value: dict[str, Any]) -> struct_pb2.Struct:
    result = struct_pb2.Struct()
    result.update(value)
    return result


def build(
    provider: Any,
    engine: Any,
    name: str,
    inputs: dict[str, Any],
    component: str = "Cluster",
    **request: Any,
) -> dict[str, Any]:
    """Construct a component and return its outputs."""
    message = provider_pb2.ConstructRequest(
        project="test",
        stack="dev",
        monitorEndpoint=engine.address,
        dryRun=engine.preview,
        type=f"eks:index:{component}",
        name=name,
        inputs=struct(inputs),
        accepts_output_values=True,
        **request,
    )
    state: dict[str, Any] = json_format.MessageToDict(
        provider.Construct(message, timeout=240).state
    )
    return state
