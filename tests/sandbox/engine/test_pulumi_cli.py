"""The Pulumi CLI and this engine take over each other's stacks. Skipped where no `pulumi` is on PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.engine.kit import Kit, serving
from tests.sandbox.engine.workspace import GIVING, MARKED, PAIR, TAKING, TWO_PACKAGES, Workspace, beside, counted

pytestmark = pytest.mark.skipif(shutil.which("pulumi") is None, reason="no `pulumi` on PATH to compare with")

Engine = Callable[[Workspace, str], dict[str, int]]


def cli(workspace: Workspace, operation: str) -> dict[str, int]:
    """Run the CLI; returns the counts that aren't zero, without `same`."""
    folder = str(workspace.folder)
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    if not workspace.state_file.exists():
        _run(["pulumi", "stack", "init", "dev", "--cwd", folder], environment)
    command = ["pulumi", operation, "--stack", "dev", "--cwd", folder, "--non-interactive", "--json"]
    if operation != "preview":
        command += ["--yes", "--skip-preview"]
    out = _run(command, environment)
    return counted(out)


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def embedded(workspace: Workspace, operation: str) -> dict[str, int]:
    """Run this engine; returns the same counts."""
    return workspace.changes(operation)


PROGRAM = """
config = pulumi.Config()
own = KitProvider("own", region="north", password=config.require_secret("password"))
group = Group("group")
first = Thing("first", Options(parent=group, provider=own), secret=config.require_secret("password"), numbers=[1, 2.5, True, None])
second = Thing("second", Options(additional_secret_outputs=["arn"], depends_on=[group]), of=first.arn, ünï="çödé <&>")
third = Thing("third", Options(protect=False, retain_on_delete=False, ignore_changes=["loose"]), of=second.token, loose="PLACE", size=1)
group.register_outputs({"first": first.id})
pulumi.export("arn", second.arn)
pulumi.export("structure", {"a": [1, "two", first.token]})
"""


def _prepare(workspace: Workspace) -> None:
    workspace.program(PROGRAM)
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    folder = str(workspace.folder)
    _run(["pulumi", "stack", "init", "dev", "--cwd", folder], environment)
    _run(["pulumi", "config", "set", "--secret", "password", "sesame", "--stack", "dev", "--cwd", folder], environment)
    _run(["pulumi", "config", "set", "kit:colour", "teal", "--stack", "dev", "--cwd", folder], environment)


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_a_stack_of_one_engine_is_unchanged_under_the_other_and_destroyed_by_it(
    workspace: Workspace, kit: Kit, one: Engine, other: Engine
) -> None:
    _prepare(workspace)
    assert one(workspace, "up")["create"] >= 5
    assert other(workspace, "preview") == {}
    assert other(workspace, "up") == {}
    assert one(workspace, "preview") == {}
    workspace.program(PROGRAM.replace("size=1", "size=2").replace("PLACE", "OTHER"))
    assert other(workspace, "preview") == {"replace": 1}
    assert other(workspace, "up") == {"replace": 1}
    assert one(workspace, "preview") == {}
    assert other(workspace, "refresh") == {}
    assert one(workspace, "preview") == {}
    assert "sesame" not in workspace.state_file.read_text()
    assert other(workspace, "destroy")["delete"] >= 5
    assert not kit.things
    assert one(workspace, "up")["create"] >= 5


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_both_engines_plan_the_same_for_a_renamed_reparented_and_reduced_program(
    workspace: Workspace, one: Engine, other: Engine
) -> None:
    workspace.program("""
        group = Group("old")
        a = Thing("a", Options(parent=group), kind="x")
        b = Thing("b", of=a.arn, kind=a.id)
        c = Thing("c", of=b.arn)
        d = Thing("d")
    """)
    one(workspace, "up")
    workspace.program("""
        group = Group("new", Options(aliases=[pulumi.Alias(name="old")]))
        a = Thing("a", Options(parent=group), kind="y")
        b = Thing("b", of=a.arn, kind=a.id)
        c = Thing("c", of=b.arn)
    """)
    assert one(workspace, "preview") == other(workspace, "preview")
    other(workspace, "up")
    assert one(workspace, "preview") == {}
    assert other(workspace, "preview") == {}


def test_the_cli_shows_the_outputs_and_history_that_this_engine_wrote(workspace: Workspace) -> None:
    _prepare(workspace)
    workspace.run("up")
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    where = ["--stack", "dev", "--cwd", str(workspace.folder)]
    shown = json.loads(_run(["pulumi", "stack", "output", "--json", "--show-secrets", *where], environment))
    assert shown["structure"]["a"][:2] == [1, "two"]
    history = json.loads(_run(["pulumi", "stack", "history", "--json", *where], environment))
    assert history[0]["kind"] == "update"
    assert history[0]["resourceChanges"]["create"] >= 5


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_a_remote_component_of_one_engine_is_unchanged_under_the_other(
    boxed: Workspace, kit: Kit, one: Engine, other: Engine
) -> None:
    boxed.program(PAIR.replace("EXTRA", ""))
    assert one(boxed, "up")["create"] >= 6
    assert other(boxed, "preview") == {}
    assert other(boxed, "up") == {}
    assert one(boxed, "preview") == {}
    assert other(boxed, "destroy")["delete"] >= 6
    assert not kit.things


def test_the_cli_reads_the_state_that_a_targeted_operation_left(workspace: Workspace) -> None:
    with serving(Kit()) as port:
        workspace.others = f",other:{port}"
        workspace.program(TWO_PACKAGES)
        embedded(workspace, "up")
        workspace.program(TWO_PACKAGES.replace("v=1", "v=2"))
        assert workspace.changes("up", "--target", "**::b") == {"update": 1}
        assert cli(workspace, "preview") == {"update": 1}
        assert cli(workspace, "up") == {"update": 1}
        assert embedded(workspace, "preview") == {}
        assert cli(workspace, "destroy")["delete"] >= 2


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_transforms_of_a_remote_component_are_the_same_under_both(
    boxed: Workspace, kit: Kit, one: Engine, other: Engine
) -> None:
    boxed.program(MARKED + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("pair")])'))
    assert one(boxed, "up")["create"] >= 6
    assert kit.named("pair-second")[0]["marks"] == ["pair"]
    assert other(boxed, "preview") == {}
    boxed.program(MARKED + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("other")])'))
    assert other(boxed, "up") == {"update": 2}
    assert one(boxed, "preview") == {}


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_what_is_fetched_is_unchanged_under_the_other(
    workspace: Workspace, server: str, tmp_path: Path, one: Engine, other: Engine
) -> None:
    (tmp_path / "remote" / "f").write_text("one")
    (tmp_path / "remote" / "z.zip").write_bytes(b"packed")
    workspace.program(f'Thing("a", f=pulumi.RemoteAsset("{server}/f"), z=pulumi.RemoteArchive("{server}/z.zip"))')
    assert one(workspace, "up") == {"create": 2}
    assert other(workspace, "preview") == {}
    (tmp_path / "remote" / "f").write_text("two")
    assert other(workspace, "up") == {"update": 1}
    assert one(workspace, "preview") == {}


@pytest.mark.parametrize(("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"])
def test_a_stack_reference_reads_what_the_other_engine_wrote(
    workspace: Workspace, tmp_path: Path, one: Engine, other: Engine
) -> None:
    workspace.program(GIVING)
    one(workspace, "up")
    user = beside(workspace, tmp_path)
    user.program(TAKING)
    assert other(user, "up") == {"create": 2}
    assert one(user, "preview") == {}
    assert other(workspace, "preview") == {}
    assert one(user, "refresh") == {}
    assert "hush" not in user.state_file.read_text()
    assert one(user, "destroy") == {"delete": 2}
