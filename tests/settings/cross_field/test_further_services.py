"""Further services of a stack file."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.program.running import ROOT
from tests.settings.stack_files import assert_refused, changed, error_of, parsed, problem_paths

TEXT = Path(ROOT / "examples" / "services.yaml").read_text(encoding="utf-8")


def services(name: str = "echo", **changes: Any) -> dict[str, Any]:
    """The example's service under a name, with changes by section and key (`a__b`)."""
    service = copy.deepcopy(yaml.safe_load(TEXT)["platform:services"]["echo"])
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = service
        for parent in parents:
            section = section[parent]
        section[last] = value
    return {"services": {name: service}}


def test_example_is_valid() -> None:
    settings = parsed(changed("dev", services()), folder=ROOT)
    assert settings.services["echo"].workload.namespace == "echo"
    assert not settings.services["echo"].database.enabled


def test_namespace_of_another_service_is_refused() -> None:
    assert_refused(
        "dev",
        services(workload__namespace="guestbook"),
        "services.echo.workload.namespace",
        "guestbook is the namespace of platform:workload: a service owns its namespace",
        "set --path 'platform:services.echo.workload.namespace' echo",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipeline", "is the name of a component of this program: rename the service"),
        (
            "echo-image",
            "ends like the name of a service's component, -database, -image, -pipeline: "
            "rename the service",
        ),
    ],
)
def test_name_of_a_component_is_refused(name: str, message: str) -> None:
    command = f"rm --path 'platform:services.{name}'"
    assert_refused("dev", services(name), f"services.{name}", message, command)


def test_rules_of_a_service_apply_to_each() -> None:
    raw = changed("dev", services(workload__minimum=3, workload__migration=["migrate"]))
    assert problem_paths(error_of(raw).problems) == {
        "services.echo.workload.minimum",
        "services.echo.workload.migration",
    }


def test_invalid_and_unknown_keys_are_reported_with_their_path() -> None:
    raw = changed("dev", services(workload__minimum="few", pipeline__aproval=True, image__keep=1))
    assert problem_paths(error_of(raw).problems) == {
        "services.echo.image.keep",
        "services.echo.pipeline.aproval",
        "services.echo.workload.minimum",
    }


def test_missing_section_names_its_keys() -> None:
    raw = changed("dev", services())
    del raw["services"]["echo"]["workload"]
    (problem,) = error_of(raw).problems
    assert ".".join(map(str, problem.path)) == "services.echo.workload"
    assert any("services.echo.workload.namespace" in fix for fix in problem.fixes)


@pytest.mark.parametrize("value", [None, 1, [], {"echo": None}, {"echo": 3}, {"Echo": {}}])
def test_other_values_are_refused(value: Any) -> None:
    assert error_of(changed("dev", {"services": value})).problems


def test_missing_folder_is_refused() -> None:
    raw = changed("dev", services(image__context="absent"))
    (problem,) = error_of(raw, folder=ROOT).problems
    assert problem.message == "the folder does not exist"


def test_secret_of_a_service_needs_a_value() -> None:
    (problem,) = error_of(changed("dev", services(workload__secrets=["TOKEN"]))).problems
    assert ".".join(map(str, problem.path)) == "services.echo.workload.secrets.0"
    assert problem.message == "names the secret TOKEN, which has no value"
