"""One problem of a section does not hide the others."""

from tests.settings.stack_files import changed, error_of, problem_paths


def test_misspelled_key_does_not_hide_a_conflict() -> None:
    changes = {"network.zons": 2, "network.nat": "single"}
    problems = error_of(changed("prod", changes), "prod").problems
    assert [problem.path for problem in problems] == [("network", "zons"), ("network", "nat")]


def test_invalid_value_does_not_hide_other_problems_of_its_section() -> None:
    changes = {
        "architecture": "arm64",
        "network.zones": 9,
        "network.cidr": "10.0.0.0/28",
        "cluster.version": "0.1",
        "cluster.endpoint.allowed_cidrs": ["0.0.0.0/0"],
        "database": 5,
        "workload.minimum": "many",
        "workload.secrets": ["TOKEN"],
    }
    instance_types = {f"cluster.nodes.instance_types.{position}" for position in range(4)}
    assert problem_paths(error_of(changed("dev", changes)).problems) == instance_types | {
        "network.zones",
        "network.cidr",
        "cluster.version",
        "cluster.endpoint.allowed_cidrs.0",
        "database",
        "workload.minimum",
        "workload.secrets.0",
    }
