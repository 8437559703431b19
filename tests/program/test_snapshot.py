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
ADDED = {
    "platform:index:Image$aws:ecr/repository:Repository::image-proven": "only verify can write",
    "platform:index:Image$aws:ecr/lifecyclePolicy:LifecyclePolicy::image-proven": "as above",
}
# Inputs and options that differ, by type and name.
INLINE_BUILDSPEC = "source"
CHANGED = {
    "aws:codebuild/project:Project::pipeline-test": {INLINE_BUILDSPEC},
    "aws:codebuild/project:Project::pipeline-deploy": {INLINE_BUILDSPEC},
    # BuildKit image
    "aws:codebuild/project:Project::pipeline-build": {INLINE_BUILDSPEC, "environment"},
    # repository of proven images
    "aws:codebuild/project:Project::pipeline-promote": {INLINE_BUILDSPEC, "environment"},
    "aws:codebuild/project:Project::pipeline-verify": {INLINE_BUILDSPEC, "environment"},
    "aws:ecr/lifecyclePolicy:LifecyclePolicy::image": {"policy"},
    "aws:ecr/lifecyclePolicy:LifecyclePolicy::image-cache": {"policy"},
    "aws:iam/rolePolicy:RolePolicy::pipeline-verify": {"policy"},
    # repository of proven images; the execution at the pipeline's creation is stopped
    "aws:iam/rolePolicy:RolePolicy::pipeline-promote": {"policy"},
    "aws:codepipeline/pipeline:Pipeline::pipeline": {"stages"},
    # The source action uploads with an ACL header.
    "aws:iam/rolePolicy:RolePolicy::pipeline": {"policy"},
    "aws:iam/rolePolicy:RolePolicy::pipeline-source": {"policy"},
    # no aws:SourceArn
    "aws:iam/role:Role::pipeline": {"assumeRolePolicy"},
    # no condition for notification rules
    "aws:sns/topicPolicy:TopicPolicy::observability": {"policy"},
    "aws:kms/key:Key::observability": {"policy"},
    # character set of EC2; replaces the group, which could not be created on AWS
    "aws:ec2/securityGroup:SecurityGroup::network-endpoints": {"description"},
    # module of the migration
    "kubernetes:apps/v1:Deployment::guestbook": {"spec"},
    # deleted before the nodes are drained
    "kubernetes:policy/v1:PodDisruptionBudget::guestbook": {"deletedWith"},
}


@pytest.fixture(scope="module", params=["dev", "prod"])
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    return load_snapshot(request.param), snapshot(run_program(request.param, PINNED_VERSIONS))


def test_program_registers_the_same_urns(snapshots: Snapshots) -> None:
    before, after = snapshots
    assert sorted(after) == sorted({*before, *ADDED})


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
