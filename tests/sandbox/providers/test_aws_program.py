"""The AWS provider accepts every AWS resource of the program, in both environments."""

from __future__ import annotations

import pytest

from sandbox.providers.aws import handlers, sdk
from tests.program.running import run_program
from tests.sandbox.providers.engine_client import Client


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_provider_accepts_every_resource_of_the_program(aws: Client, stack: str) -> None:
    for token in handlers():  # the SDK's lazy loading is not thread-safe
        sdk.arguments(token)
    resources = [
        recorded for recorded in run_program(stack).resources if recorded.type.startswith("aws:")
    ]
    assert resources
    for recorded in resources:
        aws.check(
            recorded.type,
            recorded.name,
            {k: v for k, v in recorded.inputs.items() if v is not None},
        )
