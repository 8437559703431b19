"""`make bootstrap` from nothing with the Pulumi CLI."""

from __future__ import annotations

from pathlib import Path

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
        )
        outputs = run.bootstrap(account, PulumiCli(run.DIRECTORY, variables, cli_path()))
        assert account.holds_state()
    assert outputs["backend_url"] == account.backend
    assert file.read_text() == before
