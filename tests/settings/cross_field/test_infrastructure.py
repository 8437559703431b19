"""Cross-field rules of account, network and cluster."""

from typing import Any

import pytest

from tests.settings.stack_files import assert_refused, changed, parsed

ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.mark.parametrize(
    ("stack", "changes", "key", "message", "command"),
    [
        (
            "dev",
            {"network.cidr": "10.10.0.0/24"},
            "network.cidr",
            "/24 is too small for three zones of nodes, pods and load balancers: use /16 to /20",
            "set --path 'platform:network.cidr' 10.10.0.0/16",
        ),
        (
            "dev",
            {"network.cidr": "10.0.0.0/8", "network.neighbours": []},
            "network.cidr",
            "/8 is larger than AWS allows for a VPC: use /16 to /20",
            "set --path 'platform:network.cidr' 10.0.0.0/16",
        ),
        (
            "dev",
            {"network.cidr": "10.20.0.0/16"},
            "network.cidr",
            (
                "10.20.0.0/16 overlaps 10.20.0.0/16, a network that network.neighbours[0] "
                "connects to it"
            ),
            "set --path 'platform:network.cidr' 10.80.0.0/16",
        ),
        (
            "dev",
            {"cluster.service_cidr": "10.10.64.0/18"},
            "cluster.service_cidr",
            "10.10.64.0/18 overlaps network.cidr, 10.10.0.0/16",
            "set --path 'platform:cluster.service_cidr' 172.20.0.0/16",
        ),
        (
            "dev",
            {"network.nat": "none"},
            "network.nat",
            (
                "nodes without NAT cannot join or pull images: interface endpoints are missing "
                "for ec2, ecr.api, ecr.dkr, eks, eks-auth, logs, secretsmanager, sts"
            ),
            "set --path 'platform:network.nat' single",
        ),
        (
            "dev",
            {"cluster.version": "1.33"},
            "cluster.version",
            "standard support of Kubernetes 1.33 ended on 2026-07-29",
            "set --path 'platform:cluster.version' --type string 1.35",
        ),
        (
            "dev",
            {"cluster.nodes.release_version": "1.34.1-20260101"},
            "cluster.nodes.release_version",
            "1.34.1-20260101 is an AMI release for another Kubernetes version than 1.35",
            "rm --path 'platform:cluster.nodes.release_version'",
        ),
        (
            "prod",
            {"architecture": "arm64"},
            "cluster.nodes.instance_types.0",
            "m7i.large is amd64, but platform:architecture, and with it the image, is arm64",
            "set --path 'platform:cluster.nodes.instance_types[0]' t4g.large",
        ),
        (
            "prod",
            {"cluster.nodes.instance_types": ["m7i.large", "m7g.large"]},
            "cluster.nodes.instance_types.1",
            "m7g.large is arm64, but platform:architecture, and with it the image, is amd64",
            "set --path 'platform:cluster.nodes.instance_types[1]' t3.large",
        ),
        (
            "dev",
            {"cluster.nodes.minimum": 9},
            "cluster.nodes.minimum",
            "9 is more than the maximum, 4",
            "set --path 'platform:cluster.nodes.maximum' 9",
        ),
        (
            "prod",
            {"cluster.endpoint.way_in": ...},
            "cluster.endpoint.way_in",
            "is missing: the program itself must reach a private endpoint",
            "set --path 'platform:cluster.endpoint.way_in' vpc",
        ),
        (
            "dev",
            {"aws.role_arn": ROLE, "cluster.deployers": [ROLE]},
            "cluster.deployers.0",
            (
                "has an access entry already, as aws.role_arn or by an earlier key; EKS refuses a "
                "second access entry"
            ),
            "rm --path 'platform:cluster.deployers[0]'",
        ),
        (
            "dev",
            {"cluster.deployers": [ROLE], "cluster.break_glass": [ROLE]},
            "cluster.break_glass.0",
            (
                "has an access entry already, as aws.role_arn or by an earlier key; EKS refuses a "
                "second access entry"
            ),
            "rm --path 'platform:cluster.break_glass[0]'",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": ["0.0.0.0/0"]},
            "cluster.endpoint.allowed_cidrs.0",
            "0.0.0.0/0 opens the Kubernetes API to the internet: name the networks that need it",
            "set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": ["128.0.0.0/1"]},
            "cluster.endpoint.allowed_cidrs.0",
            (
                "128.0.0.0/1 opens the Kubernetes API to the internet: name the networks that "
                "need it"
            ),
            "set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": []},
            "cluster.endpoint.allowed_cidrs",
            "a public endpoint without allowed networks is open to the internet",
            "set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24",
        ),
        (
            "prod",
            {"network.nat": "single"},
            "network.nat",
            "one NAT gateway fails with its zone; `protected` requires one per zone",
            "set --path 'platform:network.nat' per-zone",
        ),
        (
            "prod",
            {"cluster.nodes.capacity": "spot"},
            "cluster.nodes.capacity",
            "AWS can reclaim all spot nodes at once; `protected` requires on-demand",
            "set --path 'platform:cluster.nodes.capacity' on-demand",
        ),
        (
            "dev",
            {"aws.tags": {"project": "mine"}},
            "aws.tags.project",
            "is set by the program on every resource",
            "rm --path 'platform:aws.tags.project'",
        ),
        (
            "dev",
            {"aws.account_ids": ["210987654321"], "aws.role_arn": ROLE},
            "aws.role_arn",
            "the role belongs to account 123456789012, which aws.account_ids does not contain",
            "set --path 'platform:aws.account_ids[1]' --type string 123456789012",
        ),
        (
            "prod",
            {"network.interface_endpoints": ["sts", "logs", "sts"]},
            "network.interface_endpoints.2",
            "is a duplicate of an earlier entry",
            "rm --path 'platform:network.interface_endpoints[2]'",
        ),
        (
            "dev",
            {"cluster.addons.kube_proxy": "v1.34.0-eksbuild.2"},
            "cluster.addons.kube_proxy",
            "v1.34.0-eksbuild.2 is for another Kubernetes version than 1.35",
            "rm --path 'platform:cluster.addons.kube_proxy'",
        ),
        (
            "dev",
            {
                "cluster.deployers": [
                    "arn:aws:iam::123456789012:role/a/ci",
                    "arn:aws:iam::210987654321:role/a/ci",
                ]
            },
            "cluster.deployers.1",
            ("another account's role is also called a-ci, and access entries are named after it"),
            "rm --path 'platform:cluster.deployers[1]'",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": [f"{n}.0.0.0/8" for n in range(2, 64, 2)]},
            "cluster.endpoint.allowed_cidrs",
            "together, these networks open the Kubernetes API to more addresses than a /8: "
            "name the networks that need it",
            "rm --path 'platform:cluster.endpoint.allowed_cidrs'",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": [f"203.0.113.{n}/32" for n in range(41)]},
            "cluster.endpoint.allowed_cidrs",
            "EKS accepts at most 40 networks, not 41",
            "rm --path 'platform:cluster.endpoint.allowed_cidrs'",
        ),
        (
            "dev",
            {"cluster.service_cidr": "10.96.0.0/25"},
            "cluster.service_cidr",
            "must be a network from /12 to /24",
            "set --path 'platform:cluster.service_cidr' 172.20.0.0/16",
        ),
    ],
)
def test_conflict_is_refused_with_fix(
    stack: str, changes: dict[str, Any], key: str, message: str, command: str
) -> None:
    assert_refused(stack, changes, key, message, command)


def test_instance_types_are_not_checked_under_auto_mode() -> None:
    settings = parsed(changed("dev", {"cluster.compute": "auto", "architecture": "arm64"}))
    assert settings.cluster.auto_mode
