"""Pipelines like those of AWS's samples run, or fail at the first action that is not emulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.pipelines.conftest import World

DIRECTORY = Path(__file__).with_name("public_templates")


def create(world: World, name: str, *, wait: bool = True) -> str:
    template: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    source, *stages = template.pop("stages")
    return world.create(*stages, source=source, wait=wait, **template)


def test_build_pipeline_of_version_1_runs(world: World) -> None:
    world.ended(create(world, "build_and_publish"), "Succeeded")
    [output] = world.builds.orders[0].outputs
    assert output.name == "BuildOutput"


def test_parallel_tests_approval_and_variables(world: World) -> None:
    id = create(world, "parallel_tests_and_approval", wait=False)
    token = world.token("Test", "Approve")
    version = world.action(id, "App")["output"]["outputVariables"]["VersionId"]
    assert world.builds.variables[-1] in ({"STAGE": "beta", "VERSION": version}, {})
    detail = world.action(id, "Approve")["input"]["resolvedConfiguration"]
    assert detail["CustomData"] == f"Version {version} for beta"
    world.approve(stageName="Test", token=token)
    world.ended(id, "Succeeded")
    assert len(world.builds.started("apply")) == 1


def test_commands_are_retried_and_the_window_is_open(world: World) -> None:
    world.builds.script("release-Build-Commands", "FAILED", "SUCCEEDED", exported={"COUNT": "1"})
    id = create(world, "commands_and_conditions")
    world.ended(id, "Succeeded")
    assert [item["status"] for item in world.actions(id) if item["actionName"] == "Commands"] == [
        "Succeeded",
        "Failed",
    ]


def test_website_is_extracted_into_its_bucket(world: World) -> None:
    world.client("s3").create_bucket(Bucket="website-of-tests")
    world.ended(create(world, "static_website"), "Succeeded")
    result = world.client("s3").get_object(Bucket="website-of-tests", Key="content.txt")
    assert (result["Body"].read(), result["ContentType"]) == (b"first", "text/plain")


@pytest.mark.parametrize("name", ["cloudformation_deploy"])
def test_action_that_is_not_emulated_is_named(world: World, name: str) -> None:
    id = create(world, name)
    assert world.error(id, "CreateStack")["message"] == (
        "The action provider Deploy/CloudFormation is not emulated by the sandbox"
    )
