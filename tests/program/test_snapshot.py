"""The program registers the same resources as the commit of the snapshot.

The snapshot precedes the restructuring into one module per AWS object. Deliberate differences since
then are listed here with their reason. IDs of policy statements are not compared: they are updated
in place and have no effect on permissions.
"""

import json
from typing import Any

import pytest

from tests.program.running import run_program
from tests.program.snapshot import load_snapshot, snapshot

Snapshots = tuple[dict[str, Any], dict[str, Any]]

# Versions of the snapshot, which the program now looks up unless they are pinned.
PINNED_VERSIONS = {
    "cluster.nodes.release_version": "1.35.0-20260901",
    "cluster.addons": {
        "vpc_cni": "v1.21.1-eksbuild.1",
        "kube_proxy": "v1.35.0-eksbuild.2",
        "pod_identity_agent": "v1.3.10-eksbuild.2",
        "coredns": "v1.13.1-eksbuild.1",
        "metrics_server": "v0.8.0-eksbuild.6",
    },
    "database.engine_version": "17.6",
}
_OBSERVABILITY = "platform:index:Observability$aws:"
_PIPELINE = "platform:index:Pipeline$aws:"
ADDED = {
    "platform:index:Image$aws:ecr/repository:Repository::image-proven": "only verify can write",
    "platform:index:Image$aws:ecr/lifecyclePolicy:LifecyclePolicy::image-proven": "as above",
    f"{_OBSERVABILITY}cloudwatch/eventRule:EventRule::observability-scan-findings": "findings",
    f"{_OBSERVABILITY}cloudwatch/eventTarget:EventTarget::observability-scan-findings": "findings",
    f"{_OBSERVABILITY}rds/eventSubscription:EventSubscription::observability-database": "events",
    f"{_PIPELINE}codebuild/reportGroup:ReportGroup::pipeline-test": "reports of the tests",
    f"{_PIPELINE}s3/bucketLogging:BucketLogging::pipeline": "access log",
    **{
        f"{_PIPELINE}s3/{kind[0].lower()}{kind[1:]}:{kind}::pipeline-access-logs": "access log"
        for kind in (
            "Bucket",
            "BucketOwnershipControls",
            "BucketPublicAccessBlock",
            "BucketLifecycleConfiguration",
            "BucketPolicy",
        )
    },
}
ADDED_TO_DEV = {
    f"{_PIPELINE}kms/key:Key::pipeline-signing": "signatures; prod verifies with the same key",
    f"{_PIPELINE}kms/alias:Alias::pipeline-signing": "as above",
    **{
        f"{_PIPELINE}{kind}::pipeline-{step}": "signatures; pull requests"
        for step in ("sign", "pull-request")
        for kind in (
            "cloudwatch/logGroup:LogGroup",
            "codebuild/project:Project",
            "iam/role:Role",
            "iam/rolePolicy:RolePolicy",
        )
    },
    **{
        f"{_PIPELINE}iam/{kind}::pipeline-pull-request-{role}": "roles of the second pipeline"
        for role in ("pipeline", "source")
        for kind in ("role:Role", "rolePolicy:RolePolicy")
    },
    f"{_PIPELINE}codepipeline/pipeline:Pipeline::pipeline-pull-request": "pull requests",
}
# Inputs and options that differ, by type and name.
INLINE_BUILDSPEC = "source"
CHANGED = {
    "aws:codebuild/project:Project::pipeline-test": {INLINE_BUILDSPEC},
    # signature and scan
    "aws:codebuild/project:Project::pipeline-deploy": {INLINE_BUILDSPEC, "environment"},
    "aws:iam/rolePolicy:RolePolicy::pipeline-deploy": {"policy"},
    # reports
    "aws:iam/rolePolicy:RolePolicy::pipeline-test": {"policy"},
    # BuildKit image
    "aws:codebuild/project:Project::pipeline-build": {INLINE_BUILDSPEC, "environment"},
    # repository of proven images
    "aws:codebuild/project:Project::pipeline-promote": {INLINE_BUILDSPEC, "environment"},
    "aws:codebuild/project:Project::pipeline-verify": {INLINE_BUILDSPEC, "environment"},
    "aws:ecr/lifecyclePolicy:LifecyclePolicy::image": {"policy"},
    # principals of this account
    **{
        f"aws:ec2/vpcEndpoint:VpcEndpoint::network-{service}": {"policy"}
        for service in ("s3", "ecr.api", "ecr.dkr", "sts", "logs")
    },
    "aws:ecr/lifecyclePolicy:LifecyclePolicy::image-cache": {"policy"},
    "aws:iam/rolePolicy:RolePolicy::pipeline-verify": {"policy"},
    # repository of proven images; the execution at the pipeline's creation is stopped
    "aws:iam/rolePolicy:RolePolicy::pipeline-promote": {"policy"},
    "aws:codepipeline/pipeline:Pipeline::pipeline": {"stages"},
    # The source action uploads with an ACL header.
    "aws:iam/rolePolicy:RolePolicy::pipeline": {"policy"},
    "aws:iam/rolePolicy:RolePolicy::pipeline-source": {"policy"},
    # logs:DescribeLogGroups has no resource
    "aws:iam/rolePolicy:RolePolicy::network-flow": {"policy"},
    # no aws:SourceArn
    "aws:iam/role:Role::pipeline": {"assumeRolePolicy"},
    # no condition for notification rules; events of RDS and EventBridge
    "aws:sns/topicPolicy:TopicPolicy::observability": {"policy"},
    "aws:kms/key:Key::observability": {"policy"},
    # character set of EC2; replaces the group, which could not be created on AWS
    "aws:ec2/securityGroup:SecurityGroup::network-endpoints": {"description"},
    # EKS never changes the zones of a control plane
    "eks:index:Cluster::cluster": {"privateSubnetIds", "publicSubnetIds"},
    # module of the migration
    "kubernetes:apps/v1:Deployment::guestbook": {"spec"},
    # quantities as the API server stores them
    "kubernetes:core/v1:ResourceQuota::guestbook": {"spec"},
    # deleted before the nodes are drained
    "kubernetes:policy/v1:PodDisruptionBudget::guestbook": {"deletedWith"},
}


@pytest.fixture(scope="module", params=["dev", "prod"])
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    return load_snapshot(request.param), snapshot(run_program(request.param, PINNED_VERSIONS))


@pytest.mark.parametrize(("stack", "added"), [("dev", ADDED | ADDED_TO_DEV), ("prod", ADDED)])
def test_program_registers_the_same_urns(stack: str, added: dict[str, str]) -> None:
    before, after = load_snapshot(stack), snapshot(run_program(stack, PINNED_VERSIONS))
    assert sorted(after) == sorted({*before, *added})


def test_program_registers_the_same_inputs_and_options(snapshots: Snapshots) -> None:
    before, after = snapshots
    changes = {urn: _changed_keys(before[urn], after[urn]) for urn in after if urn in before}
    expected = {urn: CHANGED.get(urn.rpartition("$")[2], set()) for urn in changes}
    # Some changes concern one environment only.
    unexpected = {urn: keys - expected[urn] for urn, keys in changes.items()}
    assert {urn: keys for urn, keys in unexpected.items() if keys} == {}


def test_every_listed_change_occurs() -> None:
    changed: dict[str, set[str]] = {}
    for stack in ("dev", "prod"):
        before, after = load_snapshot(stack), snapshot(run_program(stack, PINNED_VERSIONS))
        for urn, resource in before.items():
            keys = _changed_keys(resource, after[urn])
            changed.setdefault(urn.rpartition("$")[2], set()).update(keys)
    assert {urn: keys for urn, keys in changed.items() if keys} == CHANGED


def _changed_keys(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    flat_before, flat_after = _flat(before), _flat(after)
    keys = {*flat_before, *flat_after}
    return {key for key in keys if flat_before.get(key) != flat_after.get(key)}


def _flat(resource: dict[str, Any]) -> dict[str, Any]:
    """Inputs and options in one mapping, policies without statement IDs."""
    values = {**resource["inputs"], **{k: v for k, v in resource.items() if k != "inputs"}}
    if "policy" in values:
        policy = json.loads(values["policy"])
        for statement in policy.get("Statement", []):
            statement.pop("Sid", None)
        values["policy"] = policy
    return values
