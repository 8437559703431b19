"""Settings are refused before the program starts: against the file, or against the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.runtime.home import Home
from sandbox.runtime.settings_check import Check
from sandbox.runtime.stack_files import OverrideError, StackFileError, prepare

ROOT = Path(__file__).resolve().parents[3]


def run(home: Path, *overrides: str, stack: str = "dev") -> None:
    file = prepare(Home(home), ROOT, stack, overrides)
    check = Check.of_project(Home(home), ROOT, "platform")
    assert check.module == "settings"
    check.run(stack, file.config, overrides, file.original)


def test_valid_settings_are_accepted_and_not_checked_again(tmp_path: Path) -> None:
    run(tmp_path)
    accepted = tmp_path / "config" / "dev.accepted"
    before = accepted.stat().st_mtime_ns
    run(tmp_path)
    assert accepted.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["network.zone=3"],
            ["-c network.zone: is not a setting; did you mean zones?", "-c network.zones=2"],
        ),
        (["workload.minimum=x"], ["-c workload.minimum: must be a whole number"]),
        (
            ["platform:network={zones: 2}"],
            ["-c network (platform:network.cidr): is missing", "-c network.cidr=10.10.0.0/16"],
        ),
        (
            ["lifecycle=protected"],
            ["platform:network.zones: 2 zones have no majority", "-c network.zones=3"],
        ),
        (["nothing=1"], ["-c nothing: is not a setting", "omit this option"]),
    ],
)
def test_invalid_option_is_refused_with_an_option_that_is_valid(
    tmp_path: Path, overrides: list[str], lines: list[str]
) -> None:
    with pytest.raises(OverrideError, match="the options -c for stack dev have") as refused:
        run(tmp_path, *overrides)
    for line in lines:
        assert line in str(refused.value)


def test_value_of_an_option_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(OverrideError) as refused:
        run(tmp_path, "TOKEN=s3cr3t")
    assert "s3cr3t" not in str(refused.value)


def test_problem_of_the_file_is_refused_with_commands_of_the_sandbox(tmp_path: Path) -> None:
    check = Check.of_project(Home(tmp_path), ROOT, "platform")
    config = dict(prepare(Home(tmp_path), ROOT, "dev").config)
    config["platform:network"] = {**config["platform:network"], "zones": 7}
    with pytest.raises(StackFileError) as refused:
        check.run("dev", config, (), config)
    assert not isinstance(refused.value, OverrideError)
    assert "Pulumi.dev.yaml has 1 problem; nothing was changed." in str(refused.value)
    assert "sandbox config set --path 'platform:network.zones' 2 --stack dev" in str(refused.value)


def test_project_without_a_check_is_accepted(tmp_path: Path) -> None:
    Check.of_project(Home(tmp_path), tmp_path, "x").run("dev", {"x:a": 1}, (), {})
