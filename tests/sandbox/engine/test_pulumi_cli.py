"""The Pulumi CLI and this engine continue each other's stacks; skipped without a CLI."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pulumi import cli_path, needs_cli
from tests.sandbox.engine.recording_provider import Kit, serving
from tests.sandbox.engine.workspace import (
    GIVING,
    MARKED,
    PAIR,
    TAKING,
    TWO_PACKAGES,
    Workspace,
    beside,
    counted,
)

pytestmark = needs_cli

Engine = Callable[[Workspace, str], dict[str, int]]


def cli(workspace: Workspace, operation: str) -> dict[str, int]:
    """Run the CLI; return the nonzero counts without `same`."""
    folder = str(workspace.folder)
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    if not workspace.state_file.exists():
        _run([cli_path(), "stack", "init", "dev", "--cwd", folder], environment)
    command = [
        cli_path(),
        operation,
        "--stack",
        "dev",
        "--cwd",
        folder,
        "--non-interactive",
        "--json",
    ]
    if operation != "preview":
        command += ["--yes", "--skip-preview"]
    out = _run(command, environment)
    return counted(out)


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def embedded(workspace: Workspace, operation: str) -> dict[str, int]:
    """Run this engine; return the same counts."""
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
    _run([cli_path(), "stack", "init", "dev", "--cwd", folder], environment)
    _run(
        [
            cli_path(),
            "config",
            "set",
            "--secret",
            "password",
            "sesame",
            "--stack",
            "dev",
            "--cwd",
            folder,
        ],
        environment,
    )
    _run(
        [cli_path(), "config", "set", "kit:colour", "teal", "--stack", "dev", "--cwd", folder],
        environment,
    )


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_stack_is_unchanged_under_the_other_engine_which_can_destroy_it(
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


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_engines_plan_the_same_for_renames_reparenting_and_removal(
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


def test_cli_reads_outputs_and_history_of_this_engine(workspace: Workspace) -> None:
    _prepare(workspace)
    workspace.run("up")
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    where = ["--stack", "dev", "--cwd", str(workspace.folder)]
    shown = json.loads(
        _run([cli_path(), "stack", "output", "--json", "--show-secrets", *where], environment)
    )
    assert shown["structure"]["a"][:2] == [1, "two"]
    history = json.loads(_run([cli_path(), "stack", "history", "--json", *where], environment))
    assert history[0]["kind"] == "update"
    assert history[0]["resourceChanges"]["create"] >= 5


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_remote_component_is_unchanged_under_the_other_engine(
    boxed: Workspace, kit: Kit, one: Engine, other: Engine
) -> None:
    boxed.program(PAIR.replace("EXTRA", ""))
    assert one(boxed, "up")["create"] >= 6
    assert other(boxed, "preview") == {}
    assert other(boxed, "up") == {}
    assert one(boxed, "preview") == {}
    assert other(boxed, "destroy")["delete"] >= 6
    assert not kit.things


def test_cli_reads_the_state_of_a_targeted_operation(workspace: Workspace) -> None:
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


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_transforms_of_a_remote_component_match_the_cli(
    boxed: Workspace, kit: Kit, one: Engine, other: Engine
) -> None:
    boxed.program(MARKED + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("pair")])'))
    assert one(boxed, "up")["create"] >= 6
    assert kit.named("pair-second")[0]["marks"] == ["pair"]
    assert other(boxed, "preview") == {}
    boxed.program(MARKED + PAIR.replace("EXTRA", 'opts=Options(transforms=[marked("other")])'))
    assert other(boxed, "up") == {"update": 2}
    assert one(boxed, "preview") == {}


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_remote_asset_is_unchanged_under_the_other_engine(
    workspace: Workspace, server: str, tmp_path: Path, one: Engine, other: Engine
) -> None:
    (tmp_path / "remote" / "f").write_text("one")
    (tmp_path / "remote" / "z.zip").write_bytes(b"packed")
    workspace.program(
        f'Thing("a", f=pulumi.RemoteAsset("{server}/f"), z=pulumi.RemoteArchive("{server}/z.zip"))'
    )
    assert one(workspace, "up") == {"create": 2}
    assert other(workspace, "preview") == {}
    (tmp_path / "remote" / "f").write_text("two")
    assert other(workspace, "up") == {"update": 1}
    assert one(workspace, "preview") == {}


@pytest.mark.parametrize(
    ("one", "other"), [(embedded, cli), (cli, embedded)], ids=["ours-then-cli", "cli-then-ours"]
)
def test_stack_reference_reads_the_other_engines_stack(
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


def test_programs_error_is_shown_without_frames_of_the_language_host(workspace: Workspace) -> None:
    workspace.program("def broken():\n    raise ValueError('nonsense')\nbroken()")
    environment = {**workspace.environment, "PULUMI_HOME": str(workspace.backend / "home")}
    where = ["--stack", "dev", "--cwd", str(workspace.folder), "--non-interactive"]
    _run([cli_path(), "stack", "init", *where], environment)
    command = [cli_path(), "preview", *where]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "ValueError: nonsense" in output
    assert "in broken" in output
    assert "language_host" not in output
    assert "exit code" not in output
