"""`doctor` on machines without tools: an empty PATH, a docker CLI without engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.cli import prerequisites
from sandbox.cli.prerequisites import Check


def by_name() -> dict[str, Check]:
    return {check.name: check for check in prerequisites.checks()}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with apt-get only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "apt-get", "exit 0")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{shutil.which('sh', path='/usr/bin:/bin')}\n{script}\n")
    path.chmod(0o755)


def test_every_check_has_result_and_purpose() -> None:
    for check in prerequisites.checks():
        assert check.result, check
        assert check.purpose, check
        assert check.state in {"ok", "missing", "degraded"}


def test_missing_packages_are_installed_by_one_command(bare: Path) -> None:
    result = by_name()
    missing = [check for check in result.values() if check.state == "missing"]
    assert {"image builder", "Docker engine", "buildah", "skopeo", "mmdebstrap", "git"} <= {
        it.name for it in missing
    }
    [command] = {check.fix for check in missing}
    assert "apt-get install -y -qq --no-install-recommends --no-upgrade" in command
    for package in ("buildah", "docker.io", "iptables", "skopeo", "mmdebstrap"):
        assert f" {package}" in command


def test_no_command_is_suggested_without_apt_get(bare: Path) -> None:
    (bare / "apt-get").unlink()
    assert {check.fix for check in prerequisites.checks() if check.state == "missing"} == {""}


def test_docker_cli_without_engine_is_detected(bare: Path) -> None:
    program(bare, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    result = by_name()
    assert result["Docker engine"].state == "missing"
    assert f"{bare}/docker reaches no Docker engine" in result["image builder"].result
    assert result["image builder"].state == "missing"


def test_stopped_engine_is_started_not_installed(bare: Path) -> None:
    program(bare, "docker", "exit 1")
    program(bare, "dockerd", "exit 1")
    check = by_name()["Docker engine"]
    assert (check.state, check.result) == ("degraded", "installed, not running")
    assert "dockerd" in check.fix or "systemctl start docker" in check.fix
    assert "apt-get" not in check.fix


def test_docker_without_buildkit_is_skipped_for_buildah(bare: Path) -> None:
    program(bare, "docker", 'test "$1" = version && echo "28.2.2 20.10.24" && exit 0; exit 1')
    program(bare, "buildah", "echo buildah version 1.28.2")
    result = by_name()
    assert result["image builder"].result == "buildah"
    assert "has no BuildKit" in result["Docker engine"].result


def test_uncovered_pulumi_cli_is_used_on_request_only(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare, "pulumi", "echo v2.0.0")
    program(bare, "pulumi-language-python", "exit 0")
    check = by_name()["Pulumi CLI"]
    assert check.state == "degraded"
    assert "--engine pulumi" in check.result or "none on PATH" in check.result


def test_one_tool_is_checked_and_installed_alone(bare: Path) -> None:
    [check] = prerequisites.checks(["builder"])
    assert (check.name, check.state) == ("image builder", "missing")
    assert check.fix.endswith("--no-install-recommends --no-upgrade buildah")


def test_unknown_tool_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no tool 'bulder'; the tools are builder, docker, "):
        prerequisites.checks(["bulder"])
