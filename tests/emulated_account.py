"""An emulated account and the AWS provider, for tests of whole programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.account import Account
from sandbox.providers.aws import provider
from tests.sandbox.providers.engine_client import Served

REGION = "us-east-1"


@contextmanager
def emulated_account(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the variables of an engine; boto3 in this process uses the account, too."""
    account = Account(folder / "account", time_scale=0.0)
    with Served({"aws": provider()}) as served, pytest.MonkeyPatch.context() as patch:
        variables = {
            "AWS_ENDPOINT_URL": account.start(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        for key, value in variables.items():
            patch.setenv(key, value)
        yield {
            **os.environ,
            "PULUMI_DEBUG_PROVIDERS": f"aws:{served.ports['aws']}",
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
    account.stop()
