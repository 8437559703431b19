"""Rules that every component follows."""

from collections import Counter
from collections.abc import Callable

import pulumi
import pulumi_aws as aws
import pytest

from tests.components.factories import FACTORIES, cluster, record


@pytest.mark.parametrize("factory", FACTORIES)
def test_component_exists_twice_in_one_stack_without_name_conflicts(
    factory: Callable[..., object],
) -> None:
    recording = record(lambda: factory("one"), lambda: factory("two"))
    logical = Counter((r.type, r.name) for r in recording.resources)
    assert [key for key, count in logical.items() if count > 1] == []
    # Names of Kubernetes objects are unique within the component's namespace.
    physical = Counter(
        (r.type, r.inputs["name"])
        for r in recording.resources
        if "name" in r.inputs and not r.type.startswith("kubernetes:")
    )
    assert [key for key, count in physical.items() if count > 1] == []
    names = [
        sorted(
            (r.type, r.name.replace(name, "X"))
            for r in recording.resources
            if r.name.startswith(name)
        )
        for name in ("one", "two")
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("factory", FACTORIES)
def test_component_is_parent_of_all_its_resources(factory: Callable[..., object]) -> None:
    recording = record(lambda: factory("one"))
    ((component_type, _),) = recording.components
    resources = [
        r
        for r in recording.resources
        if not r.type.startswith("pulumi:providers") or factory is cluster
    ]
    assert resources
    assert {r.parent.rpartition("$")[2] for r in resources} == {f"{component_type}::one"}


def test_recording_refuses_unexpected_resource_type() -> None:
    with pytest.raises(AssertionError, match="unexpected resource type"):
        record(lambda: aws.sqs.Queue("queue"))


def test_recording_refuses_unexpected_invoke() -> None:
    with pytest.raises(Exception, match="unexpected invoke"):
        record(lambda: pulumi.export("x", aws.ec2.get_vpc_output(default=True).id))
