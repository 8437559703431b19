"""SSM parameters, and lookups of versions and of what the account contains."""

from __future__ import annotations

import pytest

from tests.sandbox.providers.engine_client import CheckFailed, Client
from tests.sandbox.providers.lifecycle import Boto, imports, replaces, settled

PARAMETER = "aws:ssm/parameter:Parameter"
AMI_NAME = "amazon-eks-node-al2023-x86_64-standard-1.35-v20261105"


def test_parameter_has_a_life_cycle(owned: Client, boto: Boto) -> None:
    inputs = {"name": "/app/release", "type": "String", "insecureValue": "1", "tags": {"a": "b"}}
    created = owned.create(PARAMETER, "release", inputs)
    assert created.id == "/app/release"
    assert created.state["arn"].endswith(":parameter/app/release")
    settled(owned, created)
    imports(owned, created)
    assert replaces(owned, created, {**inputs, "name": "/app/other"}) == ["name"]
    updated = owned.update(created, {**inputs, "insecureValue": "2"})
    assert boto("ssm").get_parameter(Name=updated.id)["Parameter"]["Value"] == "2"
    owned.delete(updated)
    assert owned.read(updated) is None


def test_secure_parameter_is_refused(owned: Client) -> None:
    with pytest.raises(CheckFailed, match="type: must be one of"):
        owned.check(PARAMETER, "x", {"type": "SecureString", "insecureValue": "1"})


@pytest.mark.parametrize(
    ("name", "description", "count"),
    [
        (AMI_NAME, "*k8s: 1.35.5*", 1),
        (AMI_NAME, "*k8s: 1.35.0*", 0),
        (AMI_NAME.replace("20261105", "20260901"), "*", 0),
    ],
)
def test_node_images_are_found_by_name_and_kubernetes_patch(
    owned: Client, name: str, description: str, count: int
) -> None:
    filters = [
        {"name": "name", "values": [name]},
        {"name": "description", "values": [description]},
    ]
    args = {"owners": ["amazon"], "filters": filters}
    assert len(owned.invoke("aws:ec2/getAmiIds:getAmiIds", args)["ids"]) == count


def test_engine_version_is_the_latest_of_a_major_version(owned: Client) -> None:
    token = "aws:rds/getEngineVersion:getEngineVersion"
    latest = owned.invoke(token, {"engine": "postgres", "version": "17", "latest": True})
    assert latest["versionActual"].startswith("17.")
    pinned = owned.invoke(token, {"engine": "postgres", "version": "17.6", "latest": False})
    assert pinned["versionActual"] == "17.6"
    with pytest.raises(Exception, match="no RDS engine versions match"):
        owned.invoke(token, {"engine": "postgres", "version": "17.99"})


@pytest.mark.parametrize("running", ["17.6", "17.1"])
def test_first_offered_of_the_preferred_engine_versions_is_returned(
    owned: Client, running: str
) -> None:
    token = "aws:rds/getEngineVersion:getEngineVersion"
    args = {"engine": "postgres", "preferredVersions": [running, "17.10"]}
    offered = {"17.6": "17.6", "17.1": "17.10"}[running]
    assert owned.invoke(token, args)["versionActual"] == offered


def test_log_groups_are_listed_by_prefix(owned: Client, boto: Boto) -> None:
    boto("logs").create_log_group(logGroupName="/late/one")
    token = "aws:cloudwatch/getLogGroups:getLogGroups"
    groups = owned.invoke(token, {"logGroupNamePrefix": "/late/"})
    assert groups["logGroupNames"] == ["/late/one"]
    assert owned.invoke(token, {"logGroupNamePrefix": "/none/"})["logGroupNames"] == []


def test_missing_writers_are_not_listed(owned: Client) -> None:
    clusters = owned.invoke("aws:eks/getClusters:getClusters", {})["names"]
    assert "missing" not in clusters
    filters = [{"name": "db-instance-id", "values": ["missing"]}]
    instances = owned.invoke("aws:rds/getInstances:getInstances", {"filters": filters})
    assert instances["instanceIdentifiers"] == []


@pytest.mark.parametrize("pattern", ["amzn2-ami-hvm-*", "al2023-ami-2023.*-kernel-6.*-arm64"])
def test_newest_amazon_linux_image_is_found(owned: Client, pattern: str) -> None:
    args = {
        "owners": ["amazon"],
        "mostRecent": True,
        "filters": [{"name": "name", "values": [pattern]}],
    }
    image = owned.invoke("aws:ec2/getAmi:getAmi", args)
    assert image["id"].startswith("ami-")
    assert image["rootDeviceType"] == "ebs"


def test_image_that_does_not_exist_is_an_error(owned: Client) -> None:
    args = {"owners": ["self"], "mostRecent": True}
    with pytest.raises(Exception, match="Your query returned no results"):
        owned.invoke("aws:ec2/getAmi:getAmi", args)
