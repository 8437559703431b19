"""Each component on its own: its children under it, two of it in one stack; images, databases, alarms; what ends a test."""

import json
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pulumi
import pytest

from components.observability import Observability
from tests.components.makers import (
    MAKERS,
    cluster,
    database,
    image,
    made,
    observability,
)


@pytest.mark.parametrize("maker", MAKERS)
def test_two_of_a_component_live_in_one_stack_with_names_of_their_own(maker: Callable[..., object]) -> None:
    recording = made(lambda: maker("one"), lambda: maker("two"))
    logical = Counter((r.type, r.name) for r in recording.resources)
    assert [key for key, count in logical.items() if count > 1] == []
    # Kubernetes names are unique within a namespace, which is the component's own.
    physical = Counter(
        (r.type, r.inputs["name"])
        for r in recording.resources
        if "name" in r.inputs and not r.type.startswith("kubernetes:")
    )
    assert [key for key, count in physical.items() if count > 1] == []
    ones = sorted((r.type, r.name.replace("one", "X")) for r in recording.resources if r.name.startswith("one"))
    twos = sorted((r.type, r.name.replace("two", "X")) for r in recording.resources if r.name.startswith("two"))
    assert ones == twos


@pytest.mark.parametrize("maker", MAKERS)
def test_the_children_of_a_component_are_under_it(maker: Callable[..., object]) -> None:
    recording = made(lambda: maker("one"))
    ((kind, _),) = recording.components
    children = [r for r in recording.resources if not r.type.startswith("pulumi:providers") or maker is cluster]
    assert children
    assert {r.parent.rpartition("$")[2] for r in children} == {f"{kind}::one"}


def test_the_registry_password_is_a_secret_and_the_image_is_not_built_in_previews() -> None:
    recording = made(lambda: image("one"))
    built = recording.one("docker:index/image:Image", "one")
    assert built.inputs["buildOnPreview"] is False
    secret = built.request.object.fields["registry"].struct_value.fields
    wrapped = secret["password"].struct_value.fields if "password" in secret else secret
    assert "4dabf18193072939515e22adb298388d" in wrapped  # Pulumi's mark of a secret
    assert built.inputs["registry"]["password"] == "password-of-the-registry"


def test_image_tags_never_move_and_those_of_the_cache_and_of_a_content_may() -> None:
    recording = made(lambda: image("one"))
    tag = recording.one("docker:index/image:Image", "one").inputs["imageName"].rpartition(":")[2]
    (movable,) = recording.one("aws:ecr/repository:Repository", "one").inputs["imageTagMutabilityExclusionFilters"]
    assert movable["filterType"] == "WILDCARD"
    assert fnmatchcase(tag, movable["filter"])
    assert not any(fnmatchcase(f"{kind}{'0a' * 20}", movable["filter"]) for kind in ("", "proven-"))  # the pipeline's
    repositories = made(lambda: image("one")).all("aws:ecr/repository:Repository")
    assert {r.inputs["name"]: r.inputs["imageTagMutability"] for r in repositories} == {
        "test/one": "IMMUTABLE_WITH_EXCLUSION",
        "test/one-cache": "MUTABLE",
    }
    assert all(r.inputs["imageScanningConfiguration"] == {"scanOnPush": True} for r in repositories)


def test_a_proven_image_outlives_what_is_pushed_after_it() -> None:
    """prod takes it days later; ECR lets a rule expire only what no rule before it is about."""
    policies = made(lambda: image("one", keep_images=20)).all("aws:ecr/lifecyclePolicy:LifecyclePolicy")
    (rules,) = (json.loads(p.inputs["policy"])["rules"] for p in policies if p.name == "one")
    selections = [rule["selection"] for rule in sorted(rules, key=lambda rule: int(rule["rulePriority"]))]
    assert [s["tagStatus"] for s in selections] == ["untagged", "tagged", "any"]
    assert (selections[1]["tagPrefixList"], selections[1]["countNumber"]) == (["proven-"], 20)
    assert "proven-$COMMIT" in Path("app/buildspecs/verify.yml").read_text(encoding="utf-8")


def test_pulumi_never_sees_the_database_password() -> None:
    recording = made(lambda: database("one"))
    inputs = recording.one("aws:rds/instance:Instance", "one").inputs
    assert inputs["manageMasterUserPassword"] is True
    assert not {"password", "passwordWo"} & set(inputs)
    assert {"name": "rds.force_ssl", "value": "1"} in recording.one(
        "aws:rds/parameterGroup:ParameterGroup", "one"
    ).inputs["parameters"]


def test_a_database_is_reached_from_one_group_only() -> None:
    (rule,) = made(lambda: database("one")).all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rule.inputs["referencedSecurityGroupId"] == "sg-1"
    assert "cidrIpv4" not in rule.inputs


def test_a_database_that_is_made_again_leaves_a_snapshot_of_another_name() -> None:
    recording = made(lambda: database("one", protected=True), lambda: database("two", protected=False))
    kept = recording.one("aws:rds/instance:Instance", "one").inputs
    assert kept["finalSnapshotIdentifier"] == "test-one-final-one"  # the key's id, cut short
    assert (kept["skipFinalSnapshot"], kept["applyImmediately"]) == (False, False)
    lost = recording.one("aws:rds/instance:Instance", "two").inputs
    assert "finalSnapshotIdentifier" not in lost
    assert (lost["skipFinalSnapshot"], lost["applyImmediately"]) == (True, True)


def test_whoever_tells_may_use_the_topics_key_as_it_asks_for_it() -> None:
    """For this account, and notifications of pipelines, which may not name one, through SNS."""
    policy = json.loads(made(lambda: observability("one")).one("aws:kms/key:Key", "one").inputs["policy"])
    told = [(s["Principal"]["Service"], s["Condition"]) for s in policy["Statement"] if "Service" in s["Principal"]]
    everyone = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "codestar-notifications.amazonaws.com"]
    assert told == [
        (everyone, {"StringEquals": {"aws:SourceAccount": "123456789012"}}),
        (everyone[2:], {"StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}}),
    ]


def test_releases_watch_metric_alarms_no_more_than_a_condition_holds() -> None:
    watching: list[Observability] = []
    recording = made(lambda: watching.append(observability("one", database_identifier="test-database")))
    assert len(watching[0].release_alarm_names) == len(recording.all("aws:cloudwatch/metricAlarm:MetricAlarm")) <= 5


def test_a_resource_that_the_platform_is_not_known_to_use_ends_a_test() -> None:
    import pulumi_aws as aws

    with pytest.raises(AssertionError, match="is not known to use"):
        made(lambda: aws.sqs.Queue("queue"))


def test_a_call_that_the_platform_is_not_known_to_make_ends_a_test() -> None:
    import pulumi_aws as aws

    with pytest.raises(Exception, match="is not known to make"):
        made(lambda: pulumi.export("x", aws.ec2.get_vpc_output(default=True).id))
