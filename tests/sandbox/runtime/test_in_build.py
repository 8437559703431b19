"""`sandbox` as a command of a build: role and packages."""

from pathlib import Path

import pytest

from sandbox.runtime import in_build
from sandbox.runtime.background import CREDENTIALS, DaemonInfo
from sandbox.runtime.home import Home

RUNNING = DaemonInfo(
    pid=1,
    code="code",
    time_scale=0,
    account="http://127.0.0.1:1",
    kubernetes="http://127.0.0.1:2",
    registry="127.0.0.1:3",
    providers={"aws": 4},
)
ROLE = {
    "AWS_ACCESS_KEY_ID": "ASIA0",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}
IN_BUILD = {in_build.IN_BUILD: "1"}


def test_providers_of_a_build_use_its_role(tmp_path: Path) -> None:
    home = Home(tmp_path)
    acting = in_build.as_role(RUNNING, home, {**IN_BUILD, **ROLE})
    assert acting.providers.keys() == {"aws"}
    assert acting.providers["aws"] != 4
    environment = acting.environment(home, "us-east-1")
    assert {name: environment[name] for name in ROLE} == ROLE
    assert environment["AWS_ENDPOINT_URL"] == RUNNING.account
    assert "credentials" not in acting.model_dump()


@pytest.mark.parametrize("variables", [ROLE, {**IN_BUILD, **CREDENTIALS}])
def test_account_s_own_key_is_used_outside_of_builds_and_without_a_role(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    assert in_build.as_role(RUNNING, Home(tmp_path), variables) is RUNNING
    assert "AWS_SESSION_TOKEN" not in RUNNING.environment(Home(tmp_path), "us-east-1")


def test_source_without_an_environment_gets_the_sandbox_s_in_a_build(tmp_path: Path) -> None:
    runtime = "runtime: {name: python, options: {virtualenv: .venv}}\n"
    (tmp_path / "Pulumi.yaml").write_text(f"name: project\n{runtime}")
    in_build.link_packages(tmp_path, {})
    assert not (tmp_path / ".venv").exists()
    in_build.link_packages(tmp_path, IN_BUILD)
    assert (tmp_path / ".venv" / "bin" / "python").exists()
    in_build.link_packages(tmp_path, IN_BUILD)  # it is there already
