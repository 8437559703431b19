"""Types of settings and their messages."""

from typing import Any

import pytest

from settings.sections import BUILDKIT_IMAGE
from tests.settings.stack_files import assert_refused

PRIVATE = "must be a private network, within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"


@pytest.mark.parametrize(
    ("stack", "changes", "key", "message", "command"),
    [
        (
            "dev",
            {"network.zones": 4},
            "network.zones",
            "must be 2 or 3",
            "set --path 'platform:network.zones' 2",
        ),
        (
            "dev",
            {"network.cidr": "10.10.0.1/16"},
            "network.cidr",
            "must be an IPv4 network whose host bits are zero, such as 10.0.0.0/16",
            "set --path 'platform:network.cidr' 10.10.0.0/16",
        ),
        (
            "dev",
            {"cluster.version": 1.35},
            "cluster.version",
            "must be text; in YAML, quote it",
            "set --path 'platform:cluster.version' --type string 1.35",
        ),
        (
            "dev",
            {"cluster.version": "1.20"},
            "cluster.version",
            "must be a tested version: 1.32, 1.33, 1.34, 1.35, in quotes",
            "set --path 'platform:cluster.version' --type string 1.35",
        ),
        (
            "prod",
            {"cluster.endpoint.way_in": "https://user:password@proxy:3128"},
            "cluster.endpoint.way_in",
            "must be 'vpc', or a proxy without credentials, http://host:port",
            "set --path 'platform:cluster.endpoint.way_in' vpc",
        ),
        (
            "dev",
            {"database.name": "guest-book"},
            "database.name",
            "must be a PostgreSQL name: at most 63 lower-case letters, digits and underscores",
            "set --path 'platform:database.name' guestbook",
        ),
        (
            "dev",
            {"pipeline.source.repository": "https://github.com/example/platform"},
            "pipeline.source.repository",
            "must be a GitHub repository, owner/name",
            "set --path 'platform:pipeline.source.repository' example/platform",
        ),
        (
            "dev",
            {"cluster.nodes": ...},
            "cluster.nodes",
            "is missing",
            "set --path 'platform:cluster.nodes.instance_types[0]' t3.large",
        ),
        (
            "dev",
            {"image.base_image": "python:latest"},
            "image.base_image",
            "must be an image by digest, registry/name@sha256:…",
            (
                "set --path 'platform:image.base_image' "
                "docker.io/library/python@sha256:0000000000000000000000000000000000000000000000000000000000000000"
            ),
        ),
        (
            "dev",
            {"aws.region": "eu-central-9"},
            "aws.region",
            (
                "must be a region of AWS's commercial partition, such as eu-central-1; other "
                "partitions are not supported"
            ),
            "set --path 'platform:aws.region' us-east-1",
        ),
        (
            "dev",
            {"database.name": "user"},
            "database.name",
            "is a reserved word of SQL",
            "set --path 'platform:database.name' guestbook",
        ),
        (
            "dev",
            {"database.multi_az": 1},
            "database.multi_az",
            "must be true or false",
            "set --path 'platform:database.multi_az' true",
        ),
        (
            "dev",
            {"pipeline.log_days": True},
            "pipeline.log_days",
            "must be a whole number",
            "set --path 'platform:pipeline.log_days' 30",
        ),
        (
            "dev",
            {"workload.namespace": "kube-system"},
            "workload.namespace",
            "is a namespace of Kubernetes; the service needs its own",
            "set --path 'platform:workload.namespace' guestbook",
        ),
        (
            "dev",
            {"network.cidr": "127.0.0.0/16"},
            "network.cidr",
            PRIVATE,
            "set --path 'platform:network.cidr' 10.10.0.0/16",
        ),
        (
            "dev",
            {"network.cidr": "0.0.0.0/16"},
            "network.cidr",
            PRIVATE,
            "set --path 'platform:network.cidr' 10.10.0.0/16",
        ),
        (
            "dev",
            {"network.cidr": "100.64.0.0/16"},
            "network.cidr",
            PRIVATE,
            "set --path 'platform:network.cidr' 10.10.0.0/16",
        ),
        (
            "dev",
            {"cluster.service_cidr": "169.254.0.0/16"},
            "cluster.service_cidr",
            PRIVATE,
            "set --path 'platform:cluster.service_cidr' 172.20.0.0/16",
        ),
        (
            "dev",
            {"workload.environment": {"GREETING": "a\0b"}},
            "workload.environment.GREETING",
            "must not contain NUL, which an environment variable cannot hold",
            "rm --path 'platform:workload.environment.GREETING'",
        ),
        (
            "dev",
            {"workload.environment": {"GREETING": "a" * 40_000}},
            "workload.environment.GREETING",
            "must have at most 32768 bytes",
            "rm --path 'platform:workload.environment.GREETING'",
        ),
        (
            "prod",
            {"cluster.endpoint.way_in": "http://proxy.example.com:99999"},
            "cluster.endpoint.way_in",
            "must be 'vpc', or must have a port from 1 to 65535",
            "set --path 'platform:cluster.endpoint.way_in' vpc",
        ),
        (
            "dev",
            {"pipeline.source.branch": "a..b"},
            "pipeline.source.branch",
            "must be a branch name that Git accepts",
            "set --path 'platform:pipeline.source.branch' main",
        ),
        (
            "dev",
            {"pipeline.source.branch": "a/.b"},
            "pipeline.source.branch",
            "must be a branch name that Git accepts",
            "set --path 'platform:pipeline.source.branch' main",
        ),
        (
            "dev",
            {"pipeline.source.branch": "a.lock"},
            "pipeline.source.branch",
            "must be a branch name that Git accepts",
            "set --path 'platform:pipeline.source.branch' main",
        ),
        (
            "dev",
            {"aws.tags": {f"tag-{number}": "x" for number in range(60)}},
            "aws.tags",
            "must have at most 46 entries, not more",
            "rm --path 'platform:aws.tags'",
        ),
        (
            "dev",
            {"image.keep": "1:30"},
            "image.keep",
            "must be a whole number",
            "set --path 'platform:image.keep' 30",
        ),
        (
            "dev",
            {"pipeline.buildkit_image": "moby/buildkit:latest"},
            "pipeline.buildkit_image",
            "must be an image by digest, registry/name@sha256:…",
            f"set --path 'platform:pipeline.buildkit_image' {BUILDKIT_IMAGE}",
        ),
    ],
)
def test_invalid_value_is_refused_with_example(
    stack: str, changes: dict[str, Any], key: str, message: str, command: str
) -> None:
    assert_refused(stack, changes, key, message, command)
