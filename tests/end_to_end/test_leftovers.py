"""Log groups that AWS services create again after a destroy, and versions that never existed."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Sandbox

GROUPS = (
    "/aws/eks/platform-dev-cluster/cluster",
    "/aws/rds/instance/platform-dev-database/postgresql",
)


@pytest.mark.timeout(1800)
def test_up_adopts_log_groups_that_outlive_their_writers(sandbox: Sandbox) -> None:
    sandbox.json("up", "dev")
    sandbox.json("destroy", "dev", "--yes")
    logs = sandbox.client("logs")
    for group in GROUPS:  # late records, unencrypted and without retention
        logs.create_log_group(logGroupName=group)
    sandbox.json("up", "dev")
    sandbox.json("up", "dev")
    for group in GROUPS:
        (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert found["retentionInDays"] == 7
        assert found["kmsKeyId"]
    sandbox.json("preview", "dev", "--expect-no-changes")


def test_preview_refuses_versions_that_do_not_exist(sandbox: Sandbox) -> None:
    for pin, message in (
        ("cluster.nodes.release_version=1.35.0-20260901", "AMI release 1.35.0-20260901"),
        ("cluster.addons.coredns=v1.99.0-eksbuild.1", "coredns v1.99.0-eksbuild.1"),
        ("database.engine_version=17.99", "does not offer PostgreSQL 17.99"),
    ):
        document = sandbox.json("preview", "dev", "-c", pin, code=1)
        assert any(message in entry["message"] for entry in document["diagnostics"]), document
