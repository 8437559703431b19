"""The stack file of a new environment: copied from a stack, or with what eksctl's file decides."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings.new_stack import NewStackError, new_stack
from tests.settings.test_json_schema import problems

ROOT = Path(__file__).parents[2]
CLUSTER_CONFIG = """\
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: demo, region: eu-west-1, version: "1.35", tags: {team: web}}
vpc:
  cidr: 10.77.0.0/16
  nat: {gateway: HighlyAvailable}
  clusterEndpoints: {publicAccess: true, privateAccess: true}
  publicAccessCIDRs: [198.51.100.0/24]
kubernetesNetworkConfig: {serviceIPv4CIDR: 172.21.0.0/16}
availabilityZones: [eu-west-1a, eu-west-1b, eu-west-1c]
managedNodeGroups:
  - {name: a, instanceTypes: [m6i.large], minSize: 2, maxSize: 6, volumeSize: 80, spot: false}
  - {name: b, instanceType: c6i.large}
cloudWatch: {clusterLogging: {logRetentionInDays: 60}}
"""


def config(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text)["config"]
    return {key.removeprefix("platform:"): value for key, value in content.items()}


@pytest.mark.parametrize("template", ["dev", "prod"])
def test_copy_differs_in_its_network_only(template: str) -> None:
    text, notes = new_stack("staging", template, None, ROOT)
    created, source = config(text), config((ROOT / f"Pulumi.{template}.yaml").read_text())
    networks = [
        IPv4Network(config((ROOT / f"Pulumi.{stack}.yaml").read_text())["network"]["cidr"])
        for stack in ("dev", "prod")
    ]
    cidr = IPv4Network(created["network"].pop("cidr"))
    assert not any(cidr.overlaps(network) for network in networks)
    assert created["network"].pop("neighbours") == [str(network) for network in networks]
    for key in ("cidr", "neighbours"):
        del source["network"][key]
    assert created == source
    assert len([note for note in notes if "neighbour" in note]) == 2
    assert problems(text) == []


def test_cluster_config_decides_what_has_a_counterpart_and_the_rest_is_listed() -> None:
    text, notes = new_stack("europe", "dev", CLUSTER_CONFIG, ROOT)
    created = config(text)
    assert created["aws"] == {"region": "eu-west-1", "tags": {"team": "web"}}
    network, cluster = created["network"], created["cluster"]
    assert (network["cidr"], network["zones"], network["nat"]) == ("10.77.0.0/16", 3, "per-zone")
    assert cluster["service_cidr"] == "172.21.0.0/16"
    assert cluster["endpoint"] == {"public": True, "allowed_cidrs": ["198.51.100.0/24"]}
    assert cluster["log_days"] == 60
    nodes = {
        "instance_types": ["m6i.large"],
        "capacity": "on-demand",
        "minimum": 2,
        "maximum": 6,
        "disk_gib": 80,
    }
    assert cluster["nodes"] == nodes
    listed = [note.split()[0] for note in notes if "no counterpart" in note]
    assert listed == [
        "metadata.name",
        "vpc.clusterEndpoints.privateAccess",
        "managedNodeGroups.0.name",
        "managedNodeGroups.1.name",
        "managedNodeGroups.1.instanceType",
    ]


@pytest.mark.parametrize(
    ("stack", "template", "eksctl", "reason"),
    [
        ("staging", "none", None, "there is no stack 'none' to copy"),
        ("Staging", "dev", None, "the stack's name"),
        ("staging", "dev", "a: [", "is not YAML"),
        ("staging", "dev", "kind: Pod", "not an eksctl ClusterConfig"),
        (
            "staging",
            "dev",
            CLUSTER_CONFIG.replace("10.77.0.0/16", "10.10.0.0/16"),
            "network.cidr: .*; change vpc.cidr of the ClusterConfig$",
        ),
        (
            "staging",
            "prod",
            CLUSTER_CONFIG.replace("  publicAccessCIDRs: [198.51.100.0/24]\n", ""),
            r"cluster.endpoint.allowed_cidrs.*; copy another stack \(--like\)$",
        ),
        ("staging", "dev", "kind: ClusterConfig\nmanagedNodeGroups: [null]", "follow its schema"),
        ("staging", "dev", "kind: ClusterConfig\navailabilityZones: 3", "follow its schema"),
    ],
)
def test_what_cannot_be_made_is_refused(
    stack: str, template: str, eksctl: str | None, reason: str
) -> None:
    with pytest.raises(NewStackError, match=reason):
        new_stack(stack, template, eksctl, ROOT)


@pytest.mark.parametrize("template", ["dev", "prod"])
def test_private_endpoint_of_a_cluster_config_gets_a_way_in(template: str) -> None:
    private = "kind: ClusterConfig\nvpc: {clusterEndpoints: {publicAccess: false}}\n"
    text, _ = new_stack("private", template, private, ROOT)
    assert config(text)["cluster"]["endpoint"] == {"public": False, "way_in": "vpc"}


@pytest.mark.parametrize(
    ("group", "types"),
    [
        ("{name: a, instanceType: m6i.xlarge, minSize: 2}", ["m6i.xlarge"]),
        ("{name: a, instanceType: mixed, minSize: 2}", None),
    ],
)
def test_node_group_that_eksctl_manages_itself_decides_types_and_counts(
    group: str, types: list[str] | None
) -> None:
    text, notes = new_stack("own", "dev", f"kind: ClusterConfig\nnodeGroups: [{group}]\n", ROOT)
    nodes = config(text)["cluster"]["nodes"]
    template = config((ROOT / "Pulumi.dev.yaml").read_text())["cluster"]["nodes"]
    assert nodes["instance_types"] == (types or template["instance_types"])
    assert nodes["minimum"] == 2
    listed = "nodeGroups.0.instanceType of the ClusterConfig has no counterpart" in notes
    assert listed == (types is None)


def test_unsupported_version_keeps_the_template_and_is_listed() -> None:
    text, notes = new_stack("old", "dev", CLUSTER_CONFIG.replace('"1.35"', '"1.22"'), ROOT)
    assert config(text)["cluster"]["version"] == "1.35"
    assert "metadata.version of the ClusterConfig has no counterpart" in notes


def test_secrets_are_not_copied(tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    text = text.replace("    minimum: 1\n", "    minimum: 1\n    secrets: [API_TOKEN]\n", 1)
    text += "  platform:API_TOKEN:\n    secure: v1:abc\nencryptionsalt: v1:def\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").touch()
    created, notes = new_stack("staging", "dev", None, tmp_path)
    assert "secure" not in created
    assert "encryptionsalt" not in created
    assert "set the secret: sandbox config set --secret API_TOKEN --stack staging" in notes


def test_module_answers_in_json() -> None:
    request = json.dumps({"stack": "x", "template": "none", "eksctl": None})
    ran = subprocess.run(
        [sys.executable, "-m", "settings.new_stack"],
        cwd=ROOT,
        input=request,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no stack 'none'" in json.loads(ran.stdout)["error"]
