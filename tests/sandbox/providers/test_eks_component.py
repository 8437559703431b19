"""pulumi-eks's components of the sandbox, verified by their registrations."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import yaml
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, resource_pb2_grpc

from tests.sandbox.providers.recording_engine import (
    REFERENCE,
    SIGNATURE,
    UNKNOWN,
    Engine,
    build,
    struct,
)


@pytest.fixture(scope="module")
def provider() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    command = [sys.executable, "-m", "sandbox.providers", "eks"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        port = json.loads(process.stdout.readline())["eks"]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.terminate()


@pytest.fixture
def engine() -> Iterator[Engine]:
    server = grpc.server(ThreadPoolExecutor(64))
    servicer = Engine()
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"  # type: ignore[attr-defined]
    server.start()
    yield servicer
    server.stop(None)


NETWORK = {
    "vpcId": "vpc-1",
    "privateSubnetIds": ["subnet-a", "subnet-b"],
    "publicSubnetIds": ["subnet-p"],
}
OURS = {
    **NETWORK,
    "authenticationMode": "API",
    "skipDefaultNodeGroup": True,
    "skipDefaultSecurityGroups": True,
    "version": "1.35",
    "endpointPrivateAccess": True,
    "encryptionConfigKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k",
    "enabledClusterLogTypes": ["api", "audit"],
    "deletionProtection": True,
    "upgradePolicy": {"supportType": "STANDARD"},
    "publicAccessCidrs": ["203.0.113.0/24"],
    "accessEntries": {
        "deployer": {
            "principalArn": "arn:aws:iam::123456789012:role/deployer",
            "accessPolicies": {
                "admin": {
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy"
                    "/AmazonEKSClusterAdminPolicy",
                    "accessScope": {"type": "cluster"},
                }
            },
        }
    },
    "kubeProxyAddonOptions": {"version": "v1.35.0-eksbuild.2"},
    "vpcCniOptions": {"addonVersion": "v1.21.0", "enableNetworkPolicy": True, "logLevel": "INFO"},
}


def with_role(cluster: str) -> set[tuple[str, str, str]]:
    return {
        ("eks:index:ServiceRole", f"{cluster}-eksRole", cluster),
        ("aws:iam/role:Role", f"{cluster}-eksRole-role", f"{cluster}-eksRole"),
        (
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            f"{cluster}-eksRole-4b490823",
            f"{cluster}-eksRole",
        ),
        ("eks:index:Cluster", cluster, ""),
        ("aws:eks/cluster:Cluster", f"{cluster}-eksCluster", cluster),
        ("pulumi:providers:kubernetes", f"{cluster}-eks-k8s", cluster),
    }


def test_cluster_has_the_children_of_pulumi_eks(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)

    assert engine.tree() == with_role("it") | {
        ("aws:eks/addon:Addon", "it-kube-proxy", "it"),
        ("eks:index:VpcCniAddon", "it-vpc-cni", "it"),
        ("aws:eks/addon:Addon", "it-vpc-cni", "it-vpc-cni"),
        ("aws:eks/accessEntry:AccessEntry", "it-deployer", "it"),
        (
            "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
            "it-deployer-admin",
            "it-deployer",
        ),
    }


def test_control_plane_gets_every_setting(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)

    created = engine.child("it-eksCluster")
    assert created.inputs == {
        "roleArn": created.inputs["roleArn"],
        "version": "1.35",
        "enabledClusterLogTypes": ["api", "audit"],
        "deletionProtection": True,
        "upgradePolicy": {"supportType": "STANDARD"},
        "bootstrapSelfManagedAddons": True,
        "accessConfig": {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "encryptionConfig": {
            "provider": {"keyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
            "resources": ["secrets"],
        },
        "vpcConfig": {
            "subnetIds": ["subnet-p", "subnet-a", "subnet-b"],
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["203.0.113.0/24"],
        },
        "tags": {"Name": "it-eksCluster"},
    }
    assert created.ignored == [
        "accessConfig.bootstrapClusterCreatorAdminPermissions",
        "bootstrapSelfManagedAddons",
    ]
    assert {"it-eksRole-role", "it-eksRole-4b490823"} <= set(created.depends)


def test_addons_have_pulumi_eks_defaults(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)

    assert engine.child("it-kube-proxy").inputs == {
        "addonName": "kube-proxy",
        "addonVersion": "v1.35.0-eksbuild.2",
        "clusterName": "it",
        "preserve": True,
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "OVERWRITE",
    }
    cni = engine.child("it-vpc-cni", "addon:Addon").inputs
    text = cni["configurationValues"]
    values = json.loads(text)
    assert text == json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert values["enableNetworkPolicy"] == "true"
    assert values["env"]["AWS_VPC_K8S_CNI_LOGLEVEL"] == "INFO"
    assert values["env"]["WARM_ENI_TARGET"] == "1"
    assert values["init"] == {"env": {"DISABLE_TCP_EARLY_DEMUX": "false"}}


def test_addon_without_a_version_gets_the_newest(provider: Any, engine: Engine) -> None:
    build(
        provider,
        engine,
        "it",
        {**OURS, "kubeProxyAddonOptions": {}, "corednsAddonOptions": {"enabled": True}},
    )

    assert engine.child("it-kube-proxy").inputs["addonVersion"] == "newest-kube-proxy"
    assert engine.child("it-coredns").inputs["addonVersion"] == "newest-coredns"


def test_outputs_are_documented_and_kubeconfig_has_no_profile(
    provider: Any, engine: Engine
) -> None:
    options = {"profileName": "mine", "roleArn": "arn:aws:iam::123456789012:role/deployer"}
    outputs = build(provider, engine, "it", {**OURS, "providerCredentialOpts": options})

    assert {
        "kubeconfig",
        "kubeconfigJson",
        "eksCluster",
        "core",
        "instanceRoles",
        "clusterSecurityGroupId",
        "nodeSecurityGroupId",
        "clusterIngressRuleId",
        "defaultNodeGroupAsgName",
        "fargateProfileId",
        "fargateProfileStatus",
        "oidcProviderArn",
        "oidcProviderUrl",
        "oidcIssuer",
        "autoModeNodeRoleName",
    } == set(outputs)
    assert outputs["clusterSecurityGroupId"] == "sg-eks"
    assert outputs["oidcIssuer"] == "oidc.eks.us-east-1.amazonaws.com/id/ABC"
    config = outputs["kubeconfig"]
    assert json.loads(outputs["kubeconfigJson"]) == config
    assert config["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:1/it",
        "certificate-authority-data": "Q0E=",
    }
    run = config["users"][0]["user"]["exec"]
    get_token = "--region us-east-1 eks get-token --cluster-name it --output json"
    assert run["command"] == "aws"
    assert run["args"] == [*get_token.split(), "--role", "arn:aws:iam::123456789012:role/deployer"]
    own = json.loads(engine.child("it-eks-k8s").inputs["kubeconfig"])
    assert own["users"][0]["user"]["exec"]["args"][-2:] == ["--profile", "mine"]


def test_auto_mode_has_roles_and_coredns_only(provider: Any, engine: Engine) -> None:
    inputs = {
        **NETWORK,
        "authenticationMode": "API",
        "autoMode": {"enabled": True},
        "skipDefaultNodeGroup": True,
    }
    outputs = build(provider, engine, "it", inputs)

    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    policies = {name for kind, name, _ in engine.tree() if kind == attachment}
    assert {entry for entry in engine.tree() if entry[0] != attachment} == {
        entry for entry in with_role("it") if entry[0] != attachment
    } | {
        ("eks:index:ServiceRole", "it-nodeRole", "it"),
        ("aws:iam/role:Role", "it-nodeRole-role", "it-nodeRole"),
        ("aws:eks/addon:Addon", "it-coredns", "it"),
    }
    assert len(policies) == 5 + 2
    created = engine.child("it-eksCluster").inputs
    assert created["bootstrapSelfManagedAddons"] is False
    assert created["computeConfig"]["enabled"] is True
    assert created["computeConfig"]["nodePools"] == ["general-purpose", "system"]
    assert created["storageConfig"] == {"blockStorage": {"enabled": True}}
    assert created["kubernetesNetworkConfig"] == {
        "ipFamily": "ipv4",
        "elasticLoadBalancing": {"enabled": True},
    }
    assert outputs["autoModeNodeRoleName"] == "the-role"


def test_default_cluster_has_groups_nodes_and_aws_auth(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", NETWORK)

    rule = "aws:ec2/securityGroupRule:SecurityGroupRule"
    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    expected = with_role("it") | {
        ("aws:ec2/securityGroup:SecurityGroup", "it-eksClusterSecurityGroup", "it"),
        (rule, "it-eksClusterInternetEgressRule", "it"),
        ("aws:ec2/securityGroup:SecurityGroup", "it-nodeSecurityGroup", "it"),
        (rule, "it-eksNodeIngressRule", "it"),
        (rule, "it-eksNodeClusterIngressRule", "it"),
        (rule, "it-eksExtApiServerClusterIngressRule", "it"),
        (rule, "it-eksNodeInternetEgressRule", "it"),
        (rule, "it-eksClusterIngressRule", "it"),
        ("aws:eks/addon:Addon", "it-kube-proxy", "it"),
        ("eks:index:VpcCniAddon", "it-vpc-cni", "it"),
        ("aws:eks/addon:Addon", "it-vpc-cni", "it-vpc-cni"),
        ("aws:eks/addon:Addon", "it-coredns", "it"),
        ("kubernetes:core/v1:ConfigMap", "it-nodeAccess", "it"),
        ("eks:index:ServiceRole", "it-instanceRole", "it"),
        ("aws:iam/role:Role", "it-instanceRole-role", "it-instanceRole"),
        ("aws:iam/instanceProfile:InstanceProfile", "it-instanceProfile", "it"),
        ("aws:ec2/launchTemplate:LaunchTemplate", "it-launchTemplate", "it"),
        ("aws:autoscaling/group:Group", "it", "it"),
    }
    result = engine.tree()
    assert {
        entry for entry in result if not (entry[0] == attachment and entry[2] == "it-instanceRole")
    } == expected
    assert sum(1 for entry in result if entry[0] == attachment) == 4
    mapped = yaml.safe_load(engine.child("it-nodeAccess").inputs["data"]["mapRoles"])
    assert mapped == [
        {
            "rolearn": "arn:aws:iam::123456789012:role/it",
            "username": "system:node:{{EC2PrivateDNSName}}",
            "groups": ["system:bootstrappers", "system:nodes"],
        }
    ]
    template = engine.child("it-launchTemplate").inputs
    assert template["imageId"].startswith(
        "ami:/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/"
    )


def test_both_authentication_modes_map_the_instance_role(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", {**NETWORK, "authenticationMode": "API_AND_CONFIG_MAP"})

    entry = engine.child("it-defaultNodeGroupInstanceRole")
    assert (entry.type, entry.inputs["type"]) == ("aws:eks/accessEntry:AccessEntry", "EC2_LINUX")
    assert engine.child("it-nodeAccess").type == "kubernetes:core/v1:ConfigMap"


def test_preview_registers_the_same_children_with_unknowns(provider: Any, engine: Engine) -> None:
    engine.preview = True
    unknown = {
        SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4",
        "dependencies": ["urn:pulumi:dev::test::x::y"],
    }
    outputs = build(provider, engine, "it", {**OURS, "vpcId": unknown, "privateSubnetIds": unknown})
    in_preview = engine.tree()
    engine.preview = False
    engine.made.clear()
    build(provider, engine, "it", OURS)

    assert in_preview == engine.tree()
    assert outputs["kubeconfigJson"] == UNKNOWN


def test_two_clusters_are_constructed_concurrently(provider: Any, engine: Engine) -> None:
    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(build, provider, engine, name, OURS) for name in ("one", "two")]:
            done.result()

    one = {(kind, name) for kind, name, _ in engine.tree() if name.startswith("one")}
    two = {(kind, name) for kind, name, _ in engine.tree() if name.startswith("two")}
    assert {(kind, name.replace("one", "two")) for kind, name in one} == two
    assert len(one) + len(two) == len(engine.tree())


def test_children_inherit_the_components_provider(provider: Any, engine: Engine) -> None:
    reference = "urn:pulumi:dev::test::pulumi:providers:aws::here::0123"
    build(provider, engine, "it", OURS, providers={"aws": reference})

    assert engine.child("it", "index:Cluster").providers == {"aws": reference}
    assert engine.child("it-vpc-cni", "VpcCniAddon").providers["aws"] == reference


def node_group(engine: Engine, **inputs: Any) -> dict[str, Any]:
    reference = {SIGNATURE: REFERENCE, "urn": "urn:pulumi:dev::test::eks:index:Cluster::it"}
    return {"cluster": reference, "nodeRoleArn": "arn:aws:iam::123456789012:role/node", **inputs}


def test_managed_node_group_uses_its_clusters_version_and_subnets(
    provider: Any, engine: Engine
) -> None:
    build(provider, engine, "it", OURS)
    inputs = node_group(
        engine, instanceTypes=["t4g.medium"], operatingSystem="AL2023", ignoreScalingChanges=True
    )
    outputs = build(provider, engine, "workers", inputs, "ManagedNodeGroup")

    created = engine.child("workers", "nodeGroup:NodeGroup")
    assert created.parent == "workers"
    assert created.inputs == {
        "amiType": "AL2023_ARM_64_STANDARD",
        "clusterName": "it",
        "instanceTypes": ["t4g.medium"],
        "nodeRoleArn": "arn:aws:iam::123456789012:role/node",
        "scalingConfig": {"desiredSize": 2, "maxSize": 2, "minSize": 1},
        "subnetIds": ["subnet-p", "subnet-a", "subnet-b"],
        "version": "1.35",
    }
    assert created.ignored == ["scalingConfig.desiredSize"]
    assert outputs["nodeGroup"]["urn"].endswith("aws:eks/nodeGroup:NodeGroup::workers")


def test_node_group_with_imdsv2_creates_a_launch_template(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)
    build(
        provider,
        engine,
        "workers",
        node_group(engine, enableIMDSv2=True, diskSize=30),
        "ManagedNodeGroup",
    )

    template = engine.child("workers-launchTemplate")
    assert template.parent == "workers"
    assert template.inputs["metadataOptions"]["httpTokens"] == "required"
    assert template.inputs["blockDeviceMappings"] == [
        {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 30}}
    ]
    created = engine.child("workers", "nodeGroup:NodeGroup").inputs
    assert created["launchTemplate"] == {"id": "id-workers-launchTemplate", "version": "1"}
    assert "diskSize" not in created


def test_node_group_keeps_an_explicit_launch_template(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)
    own = {"id": "lt-1", "version": "3"}
    build(
        provider,
        engine,
        "workers",
        node_group(engine, launchTemplate=own, taints=[]),
        "ManagedNodeGroup",
    )

    created = engine.child("workers", "nodeGroup:NodeGroup").inputs
    assert created["launchTemplate"] == own
    assert "version" not in created


@pytest.mark.parametrize(
    ("component", "inputs", "reason"),
    [
        (
            "Cluster",
            {"authenticationMode": "BOTH"},
            "Invalid value for authenticationMode: BOTH. Allowed values are",
        ),
        (
            "Cluster",
            {"accessEntries": {"a": {}}},
            "not supported when 'authenticationMode' is not set",
        ),
        (
            "Cluster",
            {"authenticationMode": "API", "roleMappings": [{}]},
            "'roleMappings' property does not support",
        ),
        (
            "Cluster",
            {"autoMode": {"enabled": True}},
            "Access entries are required when using EKS Auto Mode",
        ),
        ("Cluster", {"subnetIds": ["s"], "privateSubnetIds": ["s"]}, "Choose a single approach"),
        (
            "Cluster",
            {"createOidcProvider": True},
            "createOidcProvider: not emulated by the sandbox: it requires a cert",
        ),
        ("Cluster", {"fargate": True}, "fargate: not emulated"),
        ("Cluster", {"nodeAmiId": "ami-1"}, "nodeAmiId: not emulated"),
        (
            "Cluster",
            {**OURS, "endpointPublicAccess": False},
            "can only be set when `endpointPublicAccess` is true",
        ),
        (
            "ManagedNodeGroup",
            {"nodeRoleArn": "arn"},
            "cluster: the cluster, or its core output, is required",
        ),
        ("NodeGroupV2", {}, "eks:index:NodeGroupV2 is not emulated by the sandbox"),
    ],
)
def test_contradictory_arguments_are_refused(
    provider: Any, engine: Engine, component: str, inputs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        build(provider, engine, "it", inputs, component)

    assert reason in refused.value.details()
    assert "Traceback" not in refused.value.details()
    assert "aws:eks/cluster:Cluster" not in {kind for kind, _, _ in engine.tree()}


def test_node_group_without_a_role_is_refused(provider: Any, engine: Engine) -> None:
    build(provider, engine, "it", OURS)
    inputs = node_group(engine)
    del inputs["nodeRoleArn"]

    with pytest.raises(grpc.RpcError) as refused:
        build(provider, engine, "workers", inputs, "ManagedNodeGroup")

    assert "nodeRole: An IAM role, or role ARN must be provided" in refused.value.details()


def test_get_kubeconfig_scopes_the_kubeconfig_to_a_role(provider: Any, engine: Any) -> None:
    build(provider, engine, "it", OURS)
    itself = {SIGNATURE: REFERENCE, "urn": "urn:pulumi:dev::test::eks:index:Cluster::it"}
    request = provider_pb2.CallRequest(
        tok="eks:index:Cluster/getKubeconfig",
        args=struct({"__self__": itself, "roleArn": "arn:aws:iam::123456789012:role/reader"}),
        project="test",
        stack="dev",
        monitorEndpoint=engine.address,
    )
    response = getattr(provider.Call(request, timeout=240), "return")

    run = json.loads(response.fields["result"].string_value)["users"][0]["user"]["exec"]
    assert run["args"][-2:] == ["--role", "arn:aws:iam::123456789012:role/reader"]
