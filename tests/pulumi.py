"""The Pulumi CLI for the tests: skipped without one, or failed if REQUIRE_PULUMI is set."""

from __future__ import annotations

import os

import pytest

from sandbox.runtime import pulumi_cli

_CLI = pulumi_cli.find()
_REASON = "there is no Pulumi CLI; `make pulumi` builds one"

needs_cli = pytest.mark.skipif(
    _CLI is None and not os.environ.get("REQUIRE_PULUMI"), reason=_REASON
)


def cli_path() -> str:
    """Return the path of the CLI; fail without one."""
    if _CLI is None:
        pytest.fail(_REASON)
    return _CLI.path
