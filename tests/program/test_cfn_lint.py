"""cfn-lint has no unexplained finding about the resources of any variant."""

import copy
from typing import Any

import pytest

from tests.program import cfn_lint
from tests.program.cfn_lint import ACCEPTED, accepts, findings, lint, templates
from tests.program.cloudformation import UNMAPPED
from tests.program.recording import AWS_TYPES


def test_no_finding_is_unexplained() -> None:
    unexplained = [
        finding for finding in findings() if not any(accepts(entry, finding) for entry in ACCEPTED)
    ]
    assert unexplained == []


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: f"{entry.rule} {entry.resource}")
def test_no_explanation_is_stale(entry: cfn_lint.Accepted) -> None:
    assert any(accepts(entry, finding) for finding in findings())


def test_each_type_that_is_not_linted_is_one_of_the_program() -> None:
    assert UNMAPPED.keys() <= {f"aws:{kind}" for kind in AWS_TYPES.split()}


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_template_has_the_resources_of_the_program(variant: str) -> None:
    assert len(templates()[variant]["Resources"]) > 100


@pytest.mark.parametrize(
    ("logical_id", "key", "value", "rule"),
    [
        # The description that EC2 refused in prod's first `up`.
        ("SecurityGroupPipelineDeploy", "GroupDescription", "The VPC's endpoints", "E3031"),
        ("InstanceDatabase", "DBInstanceClass", "db.t4g.tiny", "E3025"),
        ("SecurityGroupIngressRulePipelineDeploy", "FromPort", "https", "E3012"),
        ("KeyImage", "PendingWindowInDays", 5, "E3034"),
        ("RepositoryImage", "ImageTagMutability", "SOMETIMES", "E3030"),
        ("ProjectPipelineBuild", "TimeoutInMinutes", 4, "E3034"),
    ],
)
def test_faulty_property_is_found(logical_id: str, key: str, value: Any, rule: str) -> None:
    resource = copy.deepcopy(templates()["dev"]["Resources"][logical_id])
    content = {"Resources": {logical_id: resource}}
    assert lint(content) == []
    resource["Properties"][key] = value
    assert rule in {finding.rule for finding in lint(content)}
