"""Log groups that EKS and RDS create again after their deletion."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.components.factories import cluster, database, record
from tests.program.recording import INVOKES

LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
GROUPS = INVOKES["aws:cloudwatch/getLogGroups:getLogGroups"]
CLUSTERS = INVOKES["aws:eks/getClusters:getClusters"]
INSTANCES = INVOKES["aws:rds/getInstances:getInstances"]
CASES = [
    (cluster, "/aws/eks/test-one/cluster", CLUSTERS, "names"),
    (database, "/aws/rds/instance/test-one/postgresql", INSTANCES, "instanceIdentifiers"),
]


@pytest.mark.parametrize(("factory", "group", "writers", "key"), CASES)
def test_leftover_group_is_imported_with_its_properties(
    factory: Callable[..., object],
    group: str,
    writers: dict[str, Any],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(GROUPS, "logGroupNames", [group])
    request = record(lambda: factory("one")).one(LOG_GROUP, "one").request
    assert request.importId == group
    assert {"kmsKeyId", "retentionInDays", "tags"} <= set(request.ignoreChanges)


@pytest.mark.parametrize(("factory", "group", "writers", "key"), CASES)
def test_group_of_an_existing_writer_is_updated(
    factory: Callable[..., object],
    group: str,
    writers: dict[str, Any],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer depends on the group, so the group is in the state already."""
    monkeypatch.setitem(GROUPS, "logGroupNames", [group])
    monkeypatch.setitem(writers, key, ["test-one"])
    request = record(lambda: factory("one")).one(LOG_GROUP, "one").request
    assert request.importId == ""
    assert list(request.ignoreChanges) == []


@pytest.mark.parametrize(("factory", "group", "writers", "key"), CASES)
def test_missing_group_is_created(
    factory: Callable[..., object],
    group: str,
    writers: dict[str, Any],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(GROUPS, "logGroupNames", [f"{group}-of-another-cluster"])
    assert record(lambda: factory("one")).one(LOG_GROUP, "one").request.importId == ""
