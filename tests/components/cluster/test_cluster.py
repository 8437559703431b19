"""Cluster component: control plane, nodes, Auto Mode and access entries."""

import json
from types import SimpleNamespace

import pulumi
import pytest

from settings.sections import ClusterEndpoint
from tests.components.factories import cluster, record

INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ROLE = "arn:aws:iam::123456789012:role"
OTHER_ACCOUNT = "arn:aws:iam::210987654321:role"
PRIVATE = ClusterEndpoint(public=False, way_in="vpc")


def test_nodes_have_encrypted_disks_imdsv2_and_a_pinned_release() -> None:
    recording = record(lambda: cluster("one"))
    template = recording.one("aws:ec2/launchTemplate:LaunchTemplate", "one-nodes").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true"
    group = recording.one("eks:index:ManagedNodeGroup", "one-nodes-a").inputs
    assert group["ignoreScalingChanges"] is True
    assert (group["releaseVersion"], group["version"]) == ("1.35.5-20261105", "1.35")


def test_control_plane_is_restricted_encrypted_and_logged() -> None:
    recording = record(lambda: cluster("one", protected=True))
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["authenticationMode"] == "API"
    assert inputs["enabledClusterLogTypes"] == [
        "api",
        "audit",
        "authenticator",
        "controllerManager",
        "scheduler",
    ]
    assert inputs["encryptionConfigKeyArn"] == "arn:aws:kms:us-east-1:123456789012:key/one"
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["deletionProtection"] is True
    assert inputs["publicAccessCidrs"] == ["203.0.113.0/24"]


def test_private_endpoint_has_no_public_networks_and_its_proxy_is_in_the_kubeconfig() -> None:
    endpoint = ClusterEndpoint(public=False, way_in="http://proxy.test:3128")
    recording = record(lambda: cluster("one", endpoint=endpoint))
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in inputs
    provider = recording.one("pulumi:providers:kubernetes", "one")
    kubeconfig = json.loads(provider.inputs["kubeconfig"])
    assert kubeconfig["clusters"][0]["cluster"]["proxy-url"] == "http://proxy.test:3128"


def test_private_endpoint_admits_the_vpc_before_the_provider_is_used() -> None:
    recording = record(lambda: cluster("one", endpoint=PRIVATE))
    (rule,) = recording.all(INGRESS_RULE)
    assert (rule.inputs["securityGroupId"], rule.inputs["cidrIpv4"]) == (
        "sg-test-one",
        "10.0.0.0/16",
    )
    assert (rule.inputs["fromPort"], rule.inputs["toPort"]) == (443, 443)
    provider = recording.one("pulumi:providers:kubernetes", "one")
    assert f"{rule.type}::{rule.name}" in provider.depends_on
    assert record(lambda: cluster("one")).all(INGRESS_RULE) == []


def test_auto_mode_enforces_network_policies() -> None:
    recording = record(lambda: cluster("one", compute="auto"))
    switch = recording.one("kubernetes:core/v1:ConfigMap", "one-network-policies").inputs
    metadata = switch["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("kube-system", "amazon-vpc-cni")
    assert switch["data"] == {"enable-network-policy-controller": "true"}
    assert recording.all("kubernetes:karpenter.sh/v1:NodePool") == []


def test_auto_mode_has_a_graviton_node_pool_for_arm64() -> None:
    recording = record(lambda: cluster("one", compute="auto", architecture="arm64"))
    pool = recording.one("kubernetes:karpenter.sh/v1:NodePool", "one-arm64")
    spec = pool.inputs["spec"]["template"]["spec"]
    requirement = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
    assert requirement in spec["requirements"]
    assert spec["nodeClassRef"] == {
        "group": "eks.amazonaws.com",
        "kind": "NodeClass",
        "name": "default",
    }
    metrics = recording.one("aws:eks/addon:Addon", "one-metrics-server")
    assert "kubernetes:karpenter.sh/v1:NodePool::one-arm64" in metrics.depends_on


def test_control_plane_keeps_two_zones_when_a_third_is_added() -> None:
    network = SimpleNamespace(
        vpc_id="vpc-1",
        cidr="10.0.0.0/16",
        private_subnet_ids=["private-1", "private-2", "private-3"],
        public_subnet_ids=["public-1", "public-2", "public-3"],
        egress=[],
    )
    recording = record(lambda: cluster("one", network=network))
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["privateSubnetIds"] == ["private-1", "private-2"]
    assert inputs["publicSubnetIds"] == ["public-1", "public-2"]
    groups = recording.all("eks:index:ManagedNodeGroup")
    assert [group.inputs["subnetIds"] for group in groups] == [
        ["private-1"],
        ["private-2"],
        ["private-3"],
    ]


def test_auto_mode_starts_nodes_in_all_zones() -> None:
    network = SimpleNamespace(
        vpc_id="vpc-1",
        cidr="10.0.0.0/16",
        private_subnet_ids=["private-1", "private-2", "private-3"],
        public_subnet_ids=[],
        egress=[],
    )
    recording = record(lambda: cluster("one", compute="auto", network=network))
    inputs = recording.one("eks:index:Cluster", "one").inputs
    assert inputs["privateSubnetIds"] == ["private-1", "private-2", "private-3"]


def test_missing_admin_roles_are_refused_before_the_first_resource() -> None:
    """EKS refuses them after the control plane exists. Roles of other accounts are unknown."""
    deployers = [f"{ROLE}/ci", f"{ROLE}/deplyer"]
    break_glass = [f"{ROLE}/team/glass", f"{ROLE}/gone"]
    with pytest.raises(pulumi.RunError) as caught:
        record(lambda: cluster("one", deployers=deployers, break_glass=break_glass))
    assert str(caught.value) == (
        f"one: EKS accepts only existing roles, and IAM has no role {ROLE}/deplyer or "
        f"{ROLE}/team/glass or {ROLE}/gone: create the role first, or remove it from "
        "deployers, viewers or break_glass of the cluster"
    )
    other_account = [f"{OTHER_ACCOUNT}/glass"]
    assert record(lambda: cluster("one", break_glass=other_account)).resources


def test_deployers_viewers_and_break_glass_roles_have_entries_named_after_them() -> None:
    recording = record(
        lambda: cluster(
            "one",
            deployers=[f"{ROLE}/ci"],
            viewers=[f"{OTHER_ACCOUNT}/ann"],
            break_glass=[f"{ROLE}/glass"],
        )
    )
    entries = recording.one("eks:index:Cluster", "one").inputs["accessEntries"]
    assert entries["ci"]["principalArn"] == f"{ROLE}/ci"
    (policy,) = entries["ann"]["accessPolicies"].values()
    assert policy["policyArn"].endswith("/AmazonEKSViewPolicy")
    entry = recording.one("aws:eks/accessEntry:AccessEntry", "one-break-glass-glass")
    assert entry.inputs["principalArn"] == f"{ROLE}/glass"
