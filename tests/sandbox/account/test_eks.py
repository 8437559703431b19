"""EKS: clusters, node groups, add-ons, access entries and tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.signers import RequestSigner

from sandbox.account.null_cluster_host import NullClusterHost
from sandbox.contracts.cluster_host import CallerIdentity, UnknownPrincipalError

from .conftest import World, refused


def token_url(
    world: World,
    cluster: str,
    key: str = "test",
    secret: str = "test",
    session_token: str | None = None,
) -> str:
    """Presign GetCallerIdentity as `aws eks get-token` does."""
    credentials: Any = boto3.Session(
        key, secret, session_token, region_name="us-east-1"
    ).get_credentials()
    session = botocore.session.get_session()
    service = session.get_service_model("sts").service_id
    signer = RequestSigner(
        service, "us-east-1", "sts", "v4", credentials, session.get_component("event_emitter")
    )
    request: dict[str, Any] = {
        "method": "GET",
        "url": f"{world.url}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster},
        "context": {},
    }
    return str(
        signer.generate_presigned_url(
            request, region_name="us-east-1", expires_in=60, operation_name=""
        )
    )


def test_cluster_describes_endpoint_and_certificate_authority(world: World) -> None:
    cluster = world.cluster()
    assert cluster["status"] == "ACTIVE"
    assert cluster["endpoint"].startswith("https://127.0.0.1")
    assert base64.b64decode(cluster["certificateAuthority"]["data"]).startswith(
        b"-----BEGIN CERTIFICATE-----"
    )
    assert cluster["resourcesVpcConfig"]["vpcId"].startswith("vpc-")
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert cluster["identity"]["oidc"]["issuer"].startswith(
        "https://oidc.eks.us-east-1.amazonaws.com/id/"
    )
    group = cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]
    tags = world.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0][
        "Tags"
    ]
    assert {"Key": "kubernetes.io/cluster/main", "Value": "owned"} in tags


def test_invalid_cluster_is_refused_with_awss_message(world: World) -> None:
    eks = world.client("eks")
    _, subnets = world.network()
    role, node = world.role("c", "eks"), world.role("n", "ec2")
    good: dict[str, Any] = {
        "name": "c",
        "roleArn": role,
        "resourcesVpcConfig": {"subnetIds": subnets},
    }
    for change, why in (
        ({"version": "1.19"}, "unsupported Kubernetes version"),
        ({"roleArn": node}, "could not be assumed"),
        ({"roleArn": role + "x"}, "does not exist"),
        ({"resourcesVpcConfig": {"subnetIds": subnets[:1]}}, "two different AZs"),
        ({"resourcesVpcConfig": {"subnetIds": [*subnets, "subnet-1"]}}, "does not exist"),
        (
            {"resourcesVpcConfig": {"subnetIds": subnets, "endpointPublicAccess": False}},
            "cannot be false",
        ),
        ({"computeConfig": {"enabled": True}}, "EKS Auto Mode"),
        (
            {"encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "ghost"}}]},
            "KMS key",
        ),
    ):
        with refused("InvalidParameterException", why):
            eks.create_cluster(**{**good, **change})
    assert eks.list_clusters()["clusters"] == []


def test_zone_without_eks_is_refused_with_the_valid_zones(world: World) -> None:
    vpc, subnets = world.network()
    ec2 = world.client("ec2")
    zones = ec2.describe_availability_zones(ZoneIds=["use1-az3"])["AvailabilityZones"]
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.0.9.0/24", AvailabilityZone=zones[0]["ZoneName"]
    )["Subnet"]["SubnetId"]
    with pytest.raises(ClientError) as caught:
        world.client("eks").create_cluster(
            name="c",
            roleArn=world.role("c", "eks"),
            resourcesVpcConfig={"subnetIds": [*subnets, subnet]},
        )
    response = caught.value.response
    assert response["Error"] == {
        "Code": "UnsupportedAvailabilityZoneException",
        "Message": (
            "Cannot create cluster 'c' because us-east-1e, the targeted availability zone, does "
            "not currently have sufficient capacity to support the cluster. Retry and choose from "
            "these availability zones: us-east-1a, us-east-1b, us-east-1c, us-east-1d, us-east-1f"
        ),
    }
    assert response["clusterName"] == "c"
    assert response["validZones"] == [f"us-east-1{letter}" for letter in "abcdf"]


def test_control_plane_keeps_its_zones(world: World) -> None:
    cluster = world.cluster()["resourcesVpcConfig"]
    zones = {"b": "us-east-1b", "c": "us-east-1c"}
    more = [
        world.client("ec2").create_subnet(
            VpcId=cluster["vpcId"], CidrBlock=f"10.0.10{number}.0/24", AvailabilityZone=zone
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate(zones.values())
    ]
    eks = world.client("eks")
    text = "belong to the AZs 'us-east-1a,us-east-1b,us-east-1c'. But they should belong to the"
    with refused("InvalidParameterException", text):
        eks.update_cluster_config(
            name="main", resourcesVpcConfig={"subnetIds": [*cluster["subnetIds"], *more]}
        )
    subnets = [cluster["subnetIds"][0], more[0]]
    eks.update_cluster_config(name="main", resourcesVpcConfig={"subnetIds": subnets})
    changed = eks.describe_cluster(name="main")["cluster"]["resourcesVpcConfig"]
    assert changed["subnetIds"] == subnets


def test_cluster_update_is_reported_to_the_cluster_host(world: World) -> None:
    host = world.account.clusters
    assert isinstance(host, NullClusterHost)
    arn = world.cluster()["arn"]
    assert host.clusters[arn].auto_mode is False
    world.client("eks").update_cluster_config(
        name="main",
        computeConfig={"enabled": True},
        kubernetesNetworkConfig={"elasticLoadBalancing": {"enabled": True}},
        storageConfig={"blockStorage": {"enabled": True}},
    )
    assert host.clusters[arn].auto_mode is True


def test_cluster_update_keeps_other_configuration(world: World) -> None:
    eks = world.client("eks")
    cluster = world.cluster(version="1.34", deletionProtection=True)
    update = eks.update_cluster_config(
        name="main", resourcesVpcConfig={"endpointPrivateAccess": True}
    )["update"]
    assert update["type"] == "EndpointAccessUpdate"
    assert (
        eks.describe_update(name="main", updateId=update["id"])["update"]["status"] == "Successful"
    )
    changed = eks.describe_cluster(name="main")["cluster"]["resourcesVpcConfig"]
    assert changed == {**cluster["resourcesVpcConfig"], "endpointPrivateAccess": True}
    with refused("InvalidParameterException", "already at the desired"):
        eks.update_cluster_config(name="main", resourcesVpcConfig={"endpointPrivateAccess": True})
    with refused("InvalidParameterException", "Only one type"):
        eks.update_cluster_config(
            name="main", deletionProtection=False, upgradePolicy={"supportType": "STANDARD"}
        )
    with refused("InvalidParameterException", "1.34 to 1.36"):
        eks.update_cluster_version(name="main", version="1.36")
    eks.update_cluster_version(name="main", version="1.35")
    assert eks.describe_cluster(name="main")["cluster"]["version"] == "1.35"
    with refused("InvalidRequestException", "deletion protection"):
        eks.delete_cluster(name="main")
    eks.update_cluster_config(name="main", deletionProtection=False)
    assert len(eks.list_updates(name="main")["updateIds"]) == 3
    eks.delete_cluster(name="main")
    assert not any(item.startswith("eks/") for item in world.alive())


def test_node_group_creates_nodes_and_prevents_cluster_deletion(world: World) -> None:
    eks = world.client("eks")
    cluster = world.cluster()
    good: dict[str, Any] = {
        "clusterName": "main",
        "nodegroupName": "n",
        "subnets": cluster["resourcesVpcConfig"]["subnetIds"],
        "nodeRole": "arn:aws:iam::123456789012:role/main-node",
        "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
        "instanceTypes": ["t4g.medium"],
        "updateConfig": {"maxUnavailable": 2},
        "taints": [{"key": "k", "value": "v", "effect": "NO_SCHEDULE"}],
    }
    for change, why in (
        ({"scalingConfig": {"minSize": 3, "maxSize": 2, "desiredSize": 3}}, "maximum size"),
        ({"amiType": "AL2023_x86_64_STANDARD"}, "not a valid instance type"),
        ({"instanceTypes": ["t4g.medium", "t3.medium"]}, "mix"),
        ({"version": "1.36"}, "not supported"),
        ({"releaseVersion": "1.34.8-20261105"}, "not valid for kubernetes version 1.35"),
        ({"releaseVersion": "1.35.7-20260903"}, "not valid for kubernetes version 1.35"),
        ({"launchTemplate": {"name": "ghost"}}, "does not exist"),
    ):
        with refused("InvalidParameterException", why):
            eks.create_nodegroup(**{**good, **change})
    eks.create_nodegroup(**good)
    shown = eks.describe_nodegroup(clusterName="main", nodegroupName="n")["nodegroup"]
    assert shown["amiType"] == "AL2023_ARM_64_STANDARD"
    assert shown["updateConfig"] == {"maxUnavailable": 2}
    assert shown["releaseVersion"].startswith("1.35.")
    assert shown["resources"]["autoScalingGroups"][0]["name"].startswith("eks-n-")
    host: Any = world.account.clusters
    nodes = host.nodes[cluster["arn"], "n"]
    assert [(node.architecture, node.zone) for node in nodes] == [
        ("arm64", "us-east-1a"),
        ("arm64", "us-east-1b"),
    ]
    assert nodes[0].taints[0].effect == "NoSchedule"
    with refused("ResourceInUseException", "nodegroups attached"):
        eks.delete_cluster(name="main")
    scaling = {"minSize": 1, "maxSize": 3, "desiredSize": 3}
    eks.update_nodegroup_config(clusterName="main", nodegroupName="n", scalingConfig=scaling)
    assert len(host.nodes[cluster["arn"], "n"]) == 3
    assert host.nodes[cluster["arn"], "n"][:2] == nodes
    eks.delete_nodegroup(clusterName="main", nodegroupName="n")
    assert host.nodes == {}
    eks.delete_cluster(name="main")
    assert host.clusters == {}


def test_addons_are_described_created_and_updated(world: World) -> None:
    eks = world.client("eks")
    world.cluster()
    offered = eks.describe_addon_versions(addonName="vpc-cni", kubernetesVersion="1.35")["addons"][
        0
    ]["addonVersions"]
    defaults = [v["addonVersion"] for v in offered if v["compatibilities"][0]["defaultVersion"]]
    assert defaults == [offered[0]["addonVersion"]]
    with refused("InvalidParameterException", "not supported"):
        eks.create_addon(clusterName="main", addonName="vpc-cni", addonVersion="v0.0.1-eksbuild.1")
    eks.create_addon(
        clusterName="main", addonName="vpc-cni", addonVersion=offered[1]["addonVersion"]
    )
    with refused("ResourceInUseException"):
        eks.create_addon(clusterName="main", addonName="vpc-cni")
    eks.update_addon(
        clusterName="main", addonName="vpc-cni", addonVersion=defaults[0], configurationValues="{}"
    )
    shown = eks.describe_addon(clusterName="main", addonName="vpc-cni")["addon"]
    assert (shown["status"], shown["addonVersion"]) == ("ACTIVE", defaults[0])
    with refused("InvalidParameterException", "JSON"):
        eks.update_addon(clusterName="main", addonName="vpc-cni", configurationValues="{")
    eks.delete_addon(clusterName="main", addonName="vpc-cni")
    assert eks.list_addons(clusterName="main")["addons"] == []


def test_pod_identity_requires_a_trusting_role_and_is_unique_per_service_account(
    world: World,
) -> None:
    eks = world.client("eks")
    world.cluster()
    expected = {"clusterName": "main", "namespace": "app", "serviceAccount": "web"}
    with refused("InvalidParameterException", "does not trust"):
        eks.create_pod_identity_association(**expected, roleArn=world.role("other", "ec2"))
    role = world.role("web", "pods.eks")
    created = eks.create_pod_identity_association(**expected, roleArn=role)["association"]
    with refused("ResourceInUseException"):
        eks.create_pod_identity_association(**expected, roleArn=role)
    result = eks.list_pod_identity_associations(clusterName="main", namespace="app")["associations"]
    assert [association["associationId"] for association in result] == [created["associationId"]]
    eks.delete_pod_identity_association(clusterName="main", associationId=created["associationId"])
    with refused("ResourceNotFoundException"):
        eks.describe_pod_identity_association(
            clusterName="main", associationId=created["associationId"]
        )


def test_access_entries_grant_permissions(world: World) -> None:
    eks = world.client("eks")
    cluster = world.cluster()
    role = world.role("deployer", "codebuild")
    entry = {"clusterName": "main", "principalArn": role}
    with refused("InvalidParameterException", "invalid principal"):
        eks.create_access_entry(clusterName="main", principalArn=role + "x")
    with refused("InvalidParameterException", "system:"):
        eks.create_access_entry(**entry, kubernetesGroups=["system:masters"])
    eks.create_access_entry(**entry, kubernetesGroups=["viewers"])
    with refused("ResourceInUseException"):
        eks.create_access_entry(**entry)
    edit = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
    with refused("InvalidParameterException"):
        eks.associate_access_policy(**entry, policyArn=edit, accessScope={"type": "namespace"})
    eks.associate_access_policy(
        **entry, policyArn=edit, accessScope={"type": "namespace", "namespaces": ["app"]}
    )
    grants = world.account.grants(cluster["arn"], role)
    assert [(grant.policy_arn, grant.namespaces) for grant in grants] == [
        (edit, ("app",)),
        (None, None),
    ]
    assert grants[1].groups == ("viewers",)
    eks.delete_access_entry(**entry)
    assert world.account.grants(cluster["arn"], role) == []


def test_cluster_creator_gets_an_admin_entry_when_requested(world: World) -> None:
    expected = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}
    cluster = world.cluster(accessConfig=expected)
    grants = world.account.grants(cluster["arn"], "arn:aws:iam::123456789012:user/sandbox")
    assert [grant.policy_arn for grant in grants] == [
        "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    ]


def test_token_identifies_its_principal_for_one_cluster(world: World) -> None:
    account = world.account
    assert account.identity(token_url(world, "main"), cluster_name="main") == CallerIdentity(
        principal="arn:aws:iam::123456789012:user/sandbox"
    )
    principal = {"AWS": "arn:aws:iam::123456789012:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = world.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"][
        "Arn"
    ]
    keys = world.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    signed = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    url = token_url(world, "main", *signed)
    assert account.identity(url, cluster_name="main") == CallerIdentity(
        principal=role, session="session"
    )
    for url, why in (
        (token_url(world, "other", *signed), "signature"),
        (token_url(world, "main", signed[0], "wrong", signed[2]), "signature"),
        (
            token_url(world, "main").replace("GetCallerIdentity", "GetSessionToken"),
            "GetCallerIdentity",
        ),
        (token_url(world, "main").replace("x-k8s-aws-id", "x-other"), "x-k8s-aws-id"),
        (token_url(world, "main").replace("X-Amz-Date=2", "X-Amz-Date=1"), "expired"),
    ):
        with pytest.raises(UnknownPrincipalError, match=why):
            account.identity(url, cluster_name="main")
