"""Validation of a whole stack file."""

import json
from typing import Any

import pulumi
import pytest

from settings import Settings, SettingsError
from tests.program.running import ROOT, stack_file
from tests.settings.stack_files import changed, error_of, parsed


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_stack_files_of_the_project_are_valid(stack: str) -> None:
    settings = parsed(stack_file(stack), stack)
    assert isinstance(settings, Settings)
    assert settings.prefix == f"platform-{stack}"
    assert settings.protected is (stack == "prod")


def test_sections_may_be_json_text() -> None:
    raw = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in stack_file("dev").items()
    }
    assert parsed(raw) == parsed(stack_file("dev"))


def test_dev_and_prod_have_the_same_architecture_because_they_share_digests() -> None:
    assert stack_file("dev")["architecture"] == stack_file("prod")["architecture"]


def test_prod_promotes_from_the_proven_repository_of_dev() -> None:
    dev, prod = parsed(stack_file("dev"), "dev"), parsed(stack_file("prod"), "prod")
    assert prod.pipeline.promote_from == f"{dev.prefix}/image-proven"
    assert dev.pipeline.promote_from is None


def test_one_error_lists_every_problem_with_file_key_message_and_fix() -> None:
    changes = {
        "network.zons": 3,
        "lifecycle": "forever",
        "cluster.nodes.minimum": "two",
        "netwrk": {},
    }
    assert str(error_of(changed("dev", changes))) == (
        "Pulumi.dev.yaml has 4 problems; nothing was changed.\n"
        "\n"
        "  platform:lifecycle: must be 'ephemeral' or 'protected'\n"
        "    pulumi config set --path 'platform:lifecycle' ephemeral --stack dev\n"
        "\n"
        "  platform:network.zons: is not a setting; did you mean zones?\n"
        "    pulumi config rm --path 'platform:network.zons' --stack dev\n"
        "    pulumi config set --path 'platform:network.zones' 2 --stack dev\n"
        "\n"
        "  platform:cluster.nodes.minimum: must be a whole number\n"
        "    pulumi config set --path 'platform:cluster.nodes.minimum' 2 --stack dev\n"
        "\n"
        "  platform:netwrk: is not a setting; did you mean network?\n"
        "    pulumi config rm --path 'platform:netwrk' --stack dev\n"
        "    pulumi config set --path 'platform:network.cidr' 10.10.0.0/16 --stack dev\n"
        "    pulumi config set --path 'platform:network.zones' 2 --stack dev\n"
        "    pulumi config set --path 'platform:network.nat' single --stack dev\n"
        "    pulumi config set --path 'platform:network.flow_log_days' 30 --stack dev"
    )


def test_error_is_printed_without_traceback() -> None:
    assert issubclass(SettingsError, pulumi.RunError)


def test_missing_stack_file_is_refused_with_instructions() -> None:
    assert str(error_of({}, "qa")) == (
        "Pulumi.qa.yaml has 1 problem; nothing was changed.\n"
        "\n"
        "  Pulumi.qa.yaml: contains no platform: settings, or does not exist\n"
        "    copy Pulumi.dev.yaml to Pulumi.qa.yaml and change what differs; "
        "`pulumi stack ls` lists the existing stacks"
    )


@pytest.mark.parametrize(
    ("changes", "key", "kind"),
    [
        ({"image.context": "nowhere"}, "context", "folder"),
        ({"image.dockerfile": "Nothing"}, "dockerfile", "file"),
    ],
)
def test_missing_build_context_or_dockerfile_is_refused(
    changes: dict[str, Any], key: str, kind: str
) -> None:
    (problem,) = error_of(changed("dev", changes), folder=ROOT).problems
    assert (problem.path, problem.message) == (("image", key), f"the {kind} does not exist")
    assert problem.fixes == (f"pulumi config rm --path 'platform:image.{key}' --stack dev",)
