"""The AWS provider takes every AWS resource that the program asks for, in both environments."""

from __future__ import annotations

import pytest

from sandbox.providers.aws import handlers, sdk
from tests.program.running import run_program
from tests.sandbox.providers.engine_client import Client


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_provider_accepts_everything_that_the_program_asks_for(aws: Client, stack: str) -> None:
    for token in handlers():  # the SDK's lazy modules aren't safe to load from the provider and the program at once
        sdk.arguments(token)
    resources = [recorded for recorded in run_program(stack).resources if recorded.type.startswith("aws:")]
    assert resources
    for recorded in resources:
        aws.check(recorded.type, recorded.name, {k: v for k, v in recorded.inputs.items() if v is not None})
