"""Prowler's recorded findings (`make prowler`) are explained, and belong to today's program."""

from __future__ import annotations

import copy
from collections import Counter
from functools import cache
from typing import Any

import pytest

from bench import prowler_findings
from tests.program.recording import Recording
from tests.program.running import run_program

RECORDING = prowler_findings.load()
REMEDY = "record the findings with `make prowler`"
STACKS = ("dev", "prod")
# Checks with a finding for each resource of a type, and the type.
ONE_EACH = {
    "cloudwatch_log_group_kms_encryption_enabled": "aws:cloudwatch/logGroup:LogGroup",
    "codebuild_project_logging_enabled": "aws:codebuild/project:Project",
    "ecr_repositories_scan_images_on_push_enabled": "aws:ecr/repository:Repository",
    "kms_key_not_publicly_accessible": "aws:kms/key:Key",
    "rds_instance_storage_encrypted": "aws:rds/instance:Instance",
    "s3_bucket_secure_transport_policy": "aws:s3/bucket:Bucket",
}


@cache
def program(stack: str) -> Recording:
    return run_program(stack)


def changed(**changes: Any) -> dict[str, Any]:
    recording: dict[str, Any] = copy.deepcopy(RECORDING)
    for status, checks in changes.items():
        recording[status] |= checks
    return recording


def test_each_finding_is_explained_and_no_explanation_is_stale() -> None:
    assert prowler_findings.problems(RECORDING) == []


def test_counts_are_those_of_the_findings() -> None:
    assert RECORDING["counts"] == {
        "PASS": sum(RECORDING["passed"].values()),
        "FAIL": sum(map(len, RECORDING["failed"].values())),
        "MANUAL": sum(map(len, RECORDING["manual"].values())),
    }
    assert RECORDING["counts"]["PASS"] > 500


def test_finding_without_explanation_is_a_problem() -> None:
    recording = changed(failed={"s3_bucket_public_access": ["dev/pipeline"]})
    assert prowler_findings.problems(recording) == [
        "unexplained: s3_bucket_public_access of dev/pipeline"
    ]


def test_explanation_holds_for_its_resources_only() -> None:
    recording = changed(failed={"rds_instance_backup_enabled": ["dev/database", "prod/database"]})
    assert prowler_findings.problems(recording) == [
        "unexplained: rds_instance_backup_enabled of prod/database"
    ]


def test_explanation_without_finding_is_a_problem() -> None:
    recording = changed()
    del recording["failed"]["vpc_endpoint_for_ec2_enabled"]
    assert prowler_findings.problems(recording) == [
        "stale: vpc_endpoint_for_ec2_enabled of ('*/network',)"
    ]


def test_unread_operation_is_a_problem() -> None:
    assert prowler_findings.problems(changed(unread={"rds:DescribeCertificates": 2})) == [
        "Prowler could not read rds:DescribeCertificates"
    ]


@pytest.mark.parametrize(("check", "kind"), ONE_EACH.items())
def test_number_of_recorded_resources_is_that_of_the_program(check: str, kind: str) -> None:
    resources = sum(len(program(stack).all(kind)) for stack in STACKS)
    recorded = RECORDING["passed"].get(check, 0) + len(RECORDING["failed"].get(check, []))
    assert recorded == resources, REMEDY


def test_names_in_the_recording_are_those_of_the_program() -> None:
    # pulumi-eks names the resources of its component after the cluster.
    names = {
        f"{stack}/{resource.name}" for stack in STACKS for resource in program(stack).resources
    }
    names |= {f"{stack}/{name}" for stack in STACKS for _, name in program(stack).components}
    names |= {f"{stack}/cluster-eksCluster" for stack in STACKS}
    recorded = Counter(
        resource
        for status in ("failed", "manual")
        for resources in RECORDING[status].values()
        for resource in resources
    )
    assert {name for name in recorded if "/" in name} - names == set(), REMEDY
