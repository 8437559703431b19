"""Updates of the stack by its pipeline."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.program.running import ROOT
from tests.settings.stack_files import assert_refused, changed, error_of, parsed, problem_paths

BUCKET = "platform-state-123456789012-us-east-1"
KEY = "arn:aws:kms:us-east-1:123456789012:key/ID"
BOUNDARY = "arn:aws:iam::123456789012:policy/platform-boundary"
VALID: dict[str, Any] = {
    "pipeline.infrastructure.enabled": True,
    "pipeline.infrastructure.state_bucket": BUCKET,
    "pipeline.infrastructure.state_key_arn": KEY,
    "aws.permissions_boundary": BOUNDARY,
    "observability.contacts": ["team@example.com"],
}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_setting_is_valid_in_both_stacks_and_off_by_default(stack: str) -> None:
    assert not parsed(changed(stack, {}), stack).pipeline.infrastructure.enabled
    assert parsed(changed(stack, VALID), stack).pipeline.infrastructure.enabled


def test_keys_without_effect_are_accepted_while_it_is_off() -> None:
    """So that it can be turned off without removing them."""
    parsed(changed("dev", {"pipeline.infrastructure.state_bucket": BUCKET}))


@pytest.mark.parametrize(
    ("changes", "key", "message", "command"),
    [
        (
            {"aws.permissions_boundary": None},
            "aws.permissions_boundary",
            "is missing: pipeline.infrastructure creates an administrator role, which this "
            "boundary limits; `make bootstrap` creates one",
            f"set --path 'platform:aws.permissions_boundary' {BOUNDARY}",
        ),
        (
            {"aws.role_arn": "arn:aws:iam::123456789012:role/deployer"},
            "pipeline.infrastructure.enabled",
            "has no effect with aws.role_arn: the preview would assume that role, which may "
            "change resources",
            "rm --path 'platform:pipeline.infrastructure.enabled'",
        ),
        (
            {"observability.contacts": []},
            "pipeline.infrastructure.enabled",
            "no contact is notified about an approval: set observability.contacts",
            "set --path 'platform:observability.contacts[0]' team@example.com",
        ),
        (
            {"pipeline.infrastructure.state_bucket": None},
            "pipeline.infrastructure.state_bucket",
            "is missing: preview and update need the stack's state",
            f"set --path 'platform:pipeline.infrastructure.state_bucket' {BUCKET}",
        ),
        (
            {
                "pipeline.source.connection_arn": (
                    "arn:aws:codeconnections:us-east-1:123456789012:connection/ID"
                ),
                "pipeline.preview": {
                    "enabled": True,
                    "state_bucket": "another-bucket",
                    "state_key_arn": KEY,
                },
            },
            "pipeline.infrastructure.state_bucket",
            "differs from pipeline.preview.state_bucket, another-bucket: a stack has one state",
            "set --path 'platform:pipeline.infrastructure.state_bucket' another-bucket",
        ),
        (
            {
                "cluster.endpoint": {"public": False, "way_in": "http://proxy.example.com:3128"},
            },
            "cluster.endpoint.way_in",
            "the builds of pipeline.infrastructure run in the VPC and cannot use a proxy into it",
            "set --path 'platform:cluster.endpoint.way_in' vpc",
        ),
        (
            {"pipeline.source.paths": ["app/**"]},
            "pipeline.source.paths",
            "do not contain Pulumi.dev.yaml, so its changes would not start the pipeline, which "
            "pipeline.infrastructure needs",
            "set --path 'platform:pipeline.source.paths[1]' Pulumi.dev.yaml",
        ),
    ],
)
def test_combination_that_cannot_work_is_refused(
    changes: dict[str, Any], key: str, message: str, command: str
) -> None:
    assert_refused("dev", {**VALID, **changes}, key, message, command)


def test_builds_without_nat_are_refused() -> None:
    """The nodes need interface endpoints as well, which are another problem."""
    raw = changed("dev", {**VALID, "network.nat": "none"})
    messages = [problem.message for problem in error_of(raw).problems]
    assert (
        "its builds cannot install Pulumi and the program's packages without a NAT gateway"
        in messages
    )


@pytest.mark.parametrize("pattern", ["Pulumi.*.yaml", "**", "Pulumi.dev.yaml"])
def test_paths_with_the_stack_file_are_accepted(pattern: str) -> None:
    parsed(changed("dev", {**VALID, "pipeline.source.paths": ["app/**", pattern]}))


def test_pipeline_of_a_further_service_cannot_update_the_stack() -> None:
    text = Path(ROOT / "examples" / "services.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["platform:services"]
    services["echo"]["pipeline"]["infrastructure"] = {"enabled": True}
    error = error_of(changed("dev", {"services": services}), folder=ROOT)
    key = "services.echo.pipeline.infrastructure.enabled"
    assert problem_paths(error.problems) == {key}
    assert "one pipeline updates the stack" in str(error)
