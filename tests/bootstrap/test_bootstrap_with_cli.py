"""`make bootstrap` from nothing with the Pulumi CLI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from bootstrap import run
from bootstrap.engines import PulumiCli
from tests.emulated_account import REGION, emulated_account
from tests.pulumi import cli_path, needs_cli


@needs_cli
def test_cli_creates_the_stack_and_moves_its_state(tmp_path: Path) -> None:
    file = run.DIRECTORY / f"Pulumi.{run.STACK}.yaml"
    before = file.read_text()
    with emulated_account(tmp_path) as variables:
        account = run.Account(
            variables=variables,
            number="123456789012",
            region=REGION,
            prefix="platform",
            local=tmp_path / "local",
            emulated=True,
        )
        outputs = run.bootstrap(account, PulumiCli(run.DIRECTORY, variables, cli_path()))
        assert account.holds_state()
    assert outputs["backend_url"] == account.backend
    assert file.read_text() == before


def command(directory: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bootstrap.run", "--aws"],
        cwd=directory,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )


@needs_cli
def test_aws_uses_the_callers_account_and_the_repositorys_stack_file(tmp_path: Path) -> None:
    for folder in ("bootstrap", "components"):
        shutil.copytree(run.DIRECTORY.parent / folder, tmp_path / folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)  # named by Pulumi.yaml
    file = tmp_path / "bootstrap" / f"Pulumi.{run.STACK}.yaml"
    with emulated_account(tmp_path) as variables:
        path = f"{Path(cli_path()).parent}:{variables['PATH']}"
        created = command(tmp_path, {**variables, "PATH": path})
        assert created.returncode == 0, created.stdout + created.stderr
        repeated = command(tmp_path, {**variables, "PATH": path})
        assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert "1. Creating the resources." in created.stdout
    assert "1. Creating the resources." not in repeated.stdout
    backend = f"s3://platform-state-123456789012-{REGION}?region={REGION}"
    assert f"The state is in {backend}." in repeated.stdout
    written = yaml.safe_load(file.read_text())
    assert written["secretsprovider"] == f"awskms://alias/pulumi?region={REGION}"
    assert written["encryptedkey"]


def test_aws_without_credentials_is_refused(tmp_path: Path) -> None:
    variables = {key: it for key, it in os.environ.items() if not key.startswith("AWS_")}
    absent = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    refused = command(run.DIRECTORY.parent, {**variables, **absent})
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: AWS refused a request: Unable to locate credentials.")
