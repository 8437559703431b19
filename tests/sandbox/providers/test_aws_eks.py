"""EKS through the AWS provider, verified with boto3."""

from __future__ import annotations

import base64
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.providers.property_values import UNKNOWN, decode
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Made
from tests.sandbox.providers.lifecycle import (
    Boto,
    changes,
    imports,
    network,
    replaces,
    role,
    settled,
)

CLUSTER = "aws:eks/cluster:Cluster"


@pytest.fixture(scope="module")
def inputs(boto: Boto) -> dict[str, Any]:
    _, subnets = network(boto)
    return {
        "roleArn": role(boto, "cluster", "eks.amazonaws.com"),
        "vpcConfig": {"subnetIds": subnets},
        "accessConfig": {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": True,
        },
        "version": "1.34",
        "tags": {"Name": "it"},
    }


@pytest.fixture(scope="module")
def cluster(owned: Client, inputs: dict[str, Any]) -> Made:
    return owned.create(CLUSTER, "shared", {**inputs, "name": "shared"})


def test_cluster_is_read_with_computed_properties(owned: Client, boto: Boto, cluster: Made) -> None:
    live = boto("eks").describe_cluster(name="shared")["cluster"]

    assert cluster.id == "shared"
    assert cluster.state["endpoint"] == live["endpoint"]
    assert cluster.state["certificateAuthority"] == {"data": live["certificateAuthority"]["data"]}
    assert cluster.state["identities"] == [
        {"oidcs": [{"issuer": live["identity"]["oidc"]["issuer"]}]}
    ]
    assert cluster.state["status"] == "ACTIVE"
    assert cluster.state["platformVersion"].startswith("eks.")
    assert cluster.state["vpcConfig"]["clusterSecurityGroupId"].startswith("sg-")
    assert cluster.state["vpcConfig"]["vpcId"].startswith("vpc-")
    assert live["tags"] == {"Name": "it", "Owner": "us"}
    settled(owned, cluster)
    # EKS does not return the flag; pulumi-eks ignores it for this reason.
    imports(owned, cluster, ignore=("accessConfig.bootstrapClusterCreatorAdminPermissions",))


def test_preview_of_a_cluster_has_unknown_computed_properties(
    owned: Client, inputs: dict[str, Any]
) -> None:
    state = owned.preview(CLUSTER, "it", inputs)

    assert state["endpoint"] is UNKNOWN
    assert state["vpcConfig"]["subnetIds"] == inputs["vpcConfig"]["subnetIds"]
    assert state["vpcConfig"]["clusterSecurityGroupId"] is UNKNOWN
    assert state["name"].startswith("it-")


def test_cluster_is_updated_one_setting_at_a_time(
    owned: Client, boto: Boto, inputs: dict[str, Any]
) -> None:
    created = owned.create(CLUSTER, "live", {**inputs, "name": "live"})
    news = {
        **inputs,
        "name": "live",
        "version": "1.35",
        "enabledClusterLogTypes": ["audit", "api"],
        "deletionProtection": True,
        "upgradePolicy": {"supportType": "STANDARD"},
        "vpcConfig": {
            **inputs["vpcConfig"],
            "endpointPrivateAccess": True,
            "publicAccessCidrs": ["203.0.113.0/24"],
        },
        "tags": {"Name": "changed"},
    }
    assert replaces(owned, created, news) == []
    created = owned.update(created, news)

    live = boto("eks").describe_cluster(name="live")["cluster"]
    assert live["version"] == "1.35"
    assert live["deletionProtection"] is True
    assert live["upgradePolicy"] == {"supportType": "STANDARD"}
    assert live["resourcesVpcConfig"]["endpointPrivateAccess"] is True
    assert live["resourcesVpcConfig"]["publicAccessCidrs"] == ["203.0.113.0/24"]
    logged = [entry["types"] for entry in live["logging"]["clusterLogging"] if entry["enabled"]]
    assert sorted(logged[0]) == ["api", "audit"]
    assert live["tags"] == {"Name": "changed", "Owner": "us"}
    settled(owned, created)

    with pytest.raises(Failed, match=r"deleting EKS Cluster \(live\).*InvalidRequestException"):
        owned.delete(created)
    created = owned.update(created, {**news, "deletionProtection": False})
    owned.delete(created)
    assert "live" not in boto("eks").list_clusters()["clusters"]
    assert owned.read(created) is None
    owned.delete(created)


def test_failed_update_does_not_repeat_completed_settings(
    owned: Client, boto: Boto, inputs: dict[str, Any]
) -> None:
    created = owned.create(CLUSTER, "half", {**inputs, "name": "half"})
    _, elsewhere = network(boto, "10.1")
    with pytest.raises(Failed, match="Subnets have to stay in the cluster's VPC") as caught:
        owned.update(
            created,
            {**inputs, "name": "half", "version": "1.35", "vpcConfig": {"subnetIds": elsewhere}},
        )

    partial = caught.value.partial
    assert partial is not None
    half = Made(
        CLUSTER,
        "half",
        created.id,
        decode(partial.inputs).values,
        decode(partial.properties).values,
    )
    assert boto("eks").describe_cluster(name="half")["cluster"]["version"] == "1.35"
    settled(owned, half)
    assert changes(owned, half, {**inputs, "name": "half", "version": "1.35"}) == []
    owned.delete(
        owned.update(
            half, {**inputs, "name": "half", "version": "1.35", "deletionProtection": False}
        )
    )


@pytest.mark.parametrize(
    ("change", "replacing"),
    [
        ({"name": "other"}, ["name"]),
        ({"roleArn": "arn:aws:iam::123456789012:role/other"}, ["roleArn"]),
        (
            {"kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16"}},
            ["kubernetesNetworkConfig"],
        ),
        ({"bootstrapSelfManagedAddons": False}, ["bootstrapSelfManagedAddons"]),
        (
            {"encryptionConfig": {"provider": {"keyArn": "arn:key"}, "resources": ["secrets"]}},
            ["encryptionConfig"],
        ),
        ({"version": "1.35"}, []),
        ({"accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"}}, []),
    ],
)
def test_only_creation_time_properties_replace_a_cluster(
    owned: Client,
    cluster: Made,
    inputs: dict[str, Any],
    change: dict[str, Any],
    replacing: list[str],
) -> None:
    assert replaces(owned, cluster, {**inputs, "name": "shared", **change}) == replacing


@pytest.mark.parametrize(
    ("version", "refused"), [("1.33", True), ("1.34", False), ("1.35", False), ("1.36", True)]
)
def test_preview_refuses_versions_that_eks_does_not_upgrade_to(
    owned: Client, cluster: Made, inputs: dict[str, Any], version: str, refused: bool
) -> None:
    old = owned.check(CLUSTER, "shared", {**inputs, "name": "shared"})
    changed = {**inputs, "name": "shared", "version": version}
    with pytest.raises(CheckFailed, match="version update") if refused else nullcontext():
        owned.check(CLUSTER, "shared", changed, old)
    # Another control plane may have any version.
    owned.check(CLUSTER, "shared", {**changed, "name": "other"}, old)


def test_auto_mode_switches_must_agree(owned: Client, boto: Boto, inputs: dict[str, Any]) -> None:
    node = role(boto, "auto-node", "ec2.amazonaws.com")
    switches = {
        "computeConfig": {
            "enabled": True,
            "nodePools": ["system", "general-purpose"],
            "nodeRoleArn": node,
        },
        "storageConfig": {"blockStorage": {"enabled": True}},
        "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
    }
    with pytest.raises(CheckFailed, match="must all be set to either true or false"):
        owned.check(CLUSTER, "auto", {**inputs, "computeConfig": switches["computeConfig"]})
    created = owned.create(
        CLUSTER, "auto", {**inputs, **switches, "bootstrapSelfManagedAddons": False}
    )

    live = boto("eks").describe_cluster(name=created.id)["cluster"]
    assert live["computeConfig"]["enabled"] is True
    assert created.state["kubernetesNetworkConfig"]["serviceIpv4Cidr"]
    settled(owned, created)
    owned.delete(created)


def test_node_group_is_scaled_labeled_and_deleted(owned: Client, boto: Boto, cluster: Made) -> None:
    given = {
        "clusterName": cluster.id,
        "nodeRoleArn": role(boto, "node", "ec2.amazonaws.com"),
        "subnetIds": cluster.state["vpcConfig"]["subnetIds"],
        "scalingConfig": {"desiredSize": 1, "minSize": 1, "maxSize": 3},
        "instanceTypes": ["t4g.medium"],
        "amiType": "AL2023_ARM_64_STANDARD",
        "capacityType": "SPOT",
        "labels": {"pool": "one", "gone": "soon"},
        "updateConfig": {"maxUnavailable": 1},
    }
    created = owned.create("aws:eks/nodeGroup:NodeGroup", "workers", given)
    name = created.state["nodeGroupName"]
    assert created.id == f"shared:{name}"
    assert created.state["version"] == "1.34"
    assert created.state["releaseVersion"].startswith("1.34")
    assert created.state["resources"][0]["autoscalingGroups"][0]["name"]
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**given, "instanceTypes": ["t4g.large"]}) == ["instanceTypes"]
    assert replaces(owned, created, {**given, "capacityType": "ON_DEMAND"}) == ["capacityType"]

    news = {
        **given,
        "scalingConfig": {"desiredSize": 2, "minSize": 1, "maxSize": 4},
        "labels": {"pool": "two"},
        "taints": [{"key": "only", "value": "us", "effect": "NO_SCHEDULE"}],
    }
    assert replaces(owned, created, news) == []
    assert "scalingConfig.desiredSize" in changes(owned, created, news)
    created = owned.update(created, news)
    live = boto("eks").describe_nodegroup(clusterName="shared", nodegroupName=name)["nodegroup"]
    assert live["scalingConfig"] == {"desiredSize": 2, "minSize": 1, "maxSize": 4}
    assert live["labels"] == {"pool": "two"}
    assert live["taints"] == [{"key": "only", "value": "us", "effect": "NO_SCHEDULE"}]
    settled(owned, created)

    with pytest.raises(Failed, match="ResourceInUseException"):
        owned.delete(cluster)
    owned.delete(created)
    assert boto("eks").list_nodegroups(clusterName="shared")["nodegroups"] == []


def test_addon_gets_the_newest_version_and_is_configured(
    owned: Client, boto: Boto, cluster: Made
) -> None:
    asked = {"addonName": "vpc-cni", "kubernetesVersion": "1.34", "mostRecent": True}
    newest = owned.invoke("aws:eks/getAddonVersion:getAddonVersion", asked)["version"]
    given = {
        "clusterName": "shared",
        "addonName": "vpc-cni",
        "addonVersion": newest,
        "configurationValues": '{"enableNetworkPolicy":"true"}',
        "resolveConflictsOnCreate": "OVERWRITE",
        "resolveConflictsOnUpdate": "OVERWRITE",
        "preserve": True,
    }
    created = owned.create("aws:eks/addon:Addon", "cni", given)
    assert created.id == "shared:vpc-cni"
    settled(owned, created)
    imports(owned, created)
    assert (
        changes(
            owned, created, {**given, "configurationValues": '{ "enableNetworkPolicy": "true" }'}
        )
        == []
    )
    assert replaces(owned, created, {**given, "addonName": "coredns"}) == ["addonName"]

    created = owned.update(
        created, {**given, "configurationValues": '{"enableNetworkPolicy":"false"}'}
    )
    live = boto("eks").describe_addon(clusterName="shared", addonName="vpc-cni")["addon"]
    assert live["configurationValues"] == '{"enableNetworkPolicy":"false"}'
    owned.delete(created)
    assert boto("eks").list_addons(clusterName="shared")["addons"] == []


def test_access_entry_and_policy_are_created_and_deleted(
    owned: Client, boto: Boto, cluster: Made
) -> None:
    principal = role(boto, "deployer", "codebuild.amazonaws.com")
    given = {"clusterName": "shared", "principalArn": principal, "kubernetesGroups": ["deployers"]}
    entry = owned.create("aws:eks/accessEntry:AccessEntry", "deployer", given)
    assert entry.id == f"shared:{principal}"
    assert entry.state["type"] == "STANDARD"
    settled(owned, entry)
    imports(owned, entry)
    entry = owned.update(entry, {**given, "kubernetesGroups": ["readers"]})
    live = boto("eks").describe_access_entry(clusterName="shared", principalArn=principal)[
        "accessEntry"
    ]
    assert live["kubernetesGroups"] == ["readers"]
    assert replaces(owned, entry, {**given, "type": "EC2_LINUX"}) == ["type"]

    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    scope = {"type": "namespace", "namespaces": ["app"]}
    asked = {
        "clusterName": "shared",
        "principalArn": principal,
        "policyArn": policy,
        "accessScope": scope,
    }
    granted = owned.create("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "edit", asked)
    assert granted.id == f"shared#{principal}#{policy}"
    result = boto("eks").list_associated_access_policies(
        clusterName="shared", principalArn=principal
    )
    assert result["associatedAccessPolicies"][0]["accessScope"] == scope
    settled(owned, granted)
    imports(owned, granted)
    assert replaces(owned, granted, {**asked, "accessScope": {"type": "cluster"}}) == [
        "accessScope"
    ]
    owned.delete(granted)
    assert owned.read(granted) is None
    owned.delete(entry)
    assert owned.read(entry) is None


def test_pod_identity_updates_its_role_in_place(owned: Client, boto: Boto, cluster: Made) -> None:
    given = {
        "clusterName": "shared",
        "namespace": "app",
        "serviceAccount": "web",
        "roleArn": role(boto, "web", "pods.eks.amazonaws.com"),
    }
    created = owned.create("aws:eks/podIdentityAssociation:PodIdentityAssociation", "web", given)
    assert created.id == created.state["associationId"]
    settled(owned, created)
    imports(owned, created, f"shared,{created.id}")
    with pytest.raises(Failed, match="CLUSTER-NAME,ASSOCIATION-ID"):
        owned.import_(created.type, "web", created.id)
    other = role(boto, "web-2", "pods.eks.amazonaws.com")
    created = owned.update(created, {**given, "roleArn": other})
    live = boto("eks").describe_pod_identity_association(
        clusterName="shared", associationId=created.id
    )["association"]
    assert live["roleArn"] == other
    assert replaces(owned, created, {**given, "namespace": "b"}) == ["namespace"]
    owned.delete(created)
    assert boto("eks").list_pod_identity_associations(clusterName="shared")["associations"] == []


def test_cluster_functions_return_description_and_token(owned: Client, cluster: Made) -> None:
    result = owned.invoke("aws:eks/getCluster:getCluster", {"name": "shared"})
    assert result["endpoint"] == cluster.state["endpoint"]
    assert result["certificateAuthorities"] == [cluster.state["certificateAuthority"]]

    token = owned.invoke("aws:eks/getClusterAuth:getClusterAuth", {"name": "shared"})["token"]
    prefix, _, encoded = token.partition("k8s-aws-v1.")
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    query = parse_qs(urlsplit(url).query)
    assert prefix == ""
    assert query["Action"] == ["GetCallerIdentity"]
    assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"][0]


def test_unknown_addon_version_is_refused(owned: Client) -> None:
    with pytest.raises(Failed, match="no-such-addon"):
        owned.invoke(
            "aws:eks/getAddonVersion:getAddonVersion",
            {"addonName": "no-such-addon", "kubernetesVersion": "1.34"},
        )
