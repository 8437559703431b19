"""`sandbox config`: the stack file after each edit is the one that `pulumi config` writes.

Expected files were recorded with Pulumi v3.274.1; where it is on PATH, a test compares both tools.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.runtime.home import Home
from sandbox.runtime.stack_config import StackConfig, parse_path
from sandbox.runtime.stack_files import OverrideError, StackFileError, prepare
from tests.pulumi import cli_path, needs_cli

ROOT = Path(__file__).resolve().parents[3]
FILE = """\
# head
config:
  shop:lifecycle: ephemeral # short
  # about the network
  shop:network:
    zones: 2
    cidrs:
      - 10.0.0.0/16
    types: [a, b] # two
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(FILE)
    return tmp_path


def opened(project: Path, passphrase: str = "pp") -> StackConfig:
    return StackConfig(project / "Pulumi.dev.yaml", "shop", passphrase)


def edited(project: Path, key: str, value: str | None, *, path: bool = True) -> str:
    """Return the file after one edit; None removes the key."""
    config = opened(project)
    steps = config.steps(key, path=path)
    if value is None:
        config.remove(steps)
    else:
        config.set(steps, value, kind=None)
    config.save()
    return (project / "Pulumi.dev.yaml").read_text()


def test_file_without_edits_is_written_unchanged(project: Path) -> None:
    opened(project).save()
    assert (project / "Pulumi.dev.yaml").read_text() == FILE
    for stack in ("dev", "prod"):
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", project / "Pulumi.dev.yaml")
        opened(project).save()
        assert (project / "Pulumi.dev.yaml").read_text() == (
            ROOT / f"Pulumi.{stack}.yaml"
        ).read_text()


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        ("shop:network.zones", "3", "zones: 2", "zones: 3"),
        ("network.zones", "007", "zones: 2", 'zones: "007"'),
        ("network.zones", "1.5", "zones: 2", 'zones: "1.5"'),
        ("network.zones", "true", "zones: 2", "zones: true"),
        ("network.zones", "yes", "zones: 2", 'zones: "yes"'),
        ("network.zones", "1:30", "zones: 2", 'zones: "1:30"'),
        ("network.zones", "", "zones: 2", 'zones: ""'),
        ("network.zones", "a: b", "zones: 2", "zones: 'a: b'"),
        ("network.types[1]", "c", "[a, b] # two", "[a, c] # two"),
        ("network.cidrs[1]", "x", "/16\n", "/16\n      - x\n"),
        ('network["a.b"]', "x", "# two\n", "# two\n    a.b: x\n"),
        ("top", "5", "# two\n", '# two\n  shop:top: "5"\n'),
        ("other:key", "x", "# two\n", "# two\n  other:key: x\n"),
        ("new.list[0].name", "x", "# two\n", "# two\n  shop:new:\n    list:\n      - name: x\n"),
        ("lifecycle", None, "  shop:lifecycle: ephemeral # short\n", ""),
        ("network.zones", None, "    zones: 2\n", ""),
        ("network.cidrs[0]", None, "cidrs:\n      - 10.0.0.0/16\n", "cidrs: []\n"),
        ("network", None, FILE[FILE.index("  shop:network") :], ""),
        ("missing", None, "", ""),
        ("missing.nested[3]", None, "", ""),
    ],
)
def test_edit_changes_only_the_addressed_lines(
    project: Path, key: str, value: str | None, before: str, after: str
) -> None:
    assert before in FILE
    assert edited(project, key, value) == FILE.replace(before, after, 1)


def test_key_without_path_is_one_key(project: Path) -> None:
    assert edited(project, "a.b[0]", "1", path=False) == f'{FILE}  shop:a.b[0]: "1"\n'


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("network.cidrs[5]", "the list has 1 elements"),
        ("network.zones.x", "network.zones is not a map"),
        ("network.cidrs.x", "network.cidrs is not a map"),
        ("network.[", "malformed"),
        ("[0]", "a key such as shop:network is expected"),
    ],
)
def test_impossible_path_is_refused_and_changes_nothing(
    project: Path, key: str, reason: str
) -> None:
    with pytest.raises(OverrideError, match=reason.replace("[", r"\[")):
        edited(project, key, "x")
    assert (project / "Pulumi.dev.yaml").read_text() == FILE


def test_path_has_names_indices_and_quoted_names() -> None:
    assert parse_path('a.b[0]["c.d"].e') == ["a", "b", 0, "c.d", "e"]
    assert parse_path('["a.b"][1]') == ["a.b", 1]


def test_secret_is_stored_encrypted_and_read_by_the_next_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = opened(project)
    config.set(["shop:TOKEN"], "geheim", secret=True, kind=None)
    config.save()
    text = (project / "Pulumi.dev.yaml").read_text()
    assert "geheim" not in text
    assert "encryptionsalt: v1:" in text
    assert opened(project).get(["shop:TOKEN"]) == ("geheim", True)
    assert opened(project).get(["shop:TOKEN"], show_secrets=False) == ("[secret]", True)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "pp")
    run = prepare(Home(project / "home"), project, "dev")
    assert run.config["shop:TOKEN"] == {"secure": "geheim"}
    assert run.notes == ()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    assert prepare(Home(project / "home"), project, "dev").notes


def test_secret_of_a_key_management_service_is_refused(project: Path) -> None:
    file = project / "Pulumi.dev.yaml"
    file.write_text(f"secretsprovider: awskms://alias/x\nencryptedkey: AAAA\n{FILE}")
    with pytest.raises(StackFileError, match="Use `pulumi config`"):
        opened(project).set(["shop:TOKEN"], "x", secret=True, kind=None)


def command(tool: list[str], project: Path, *words: str, stdin: str = "") -> str:
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PULUMI_BACKEND_URL": f"file://{project}",
        "PULUMI_CONFIG_PASSPHRASE": "pp",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "SANDBOX_HOME": str(project / "home"),
    }
    ran = subprocess.run(
        [*tool, *words],
        check=False,
        cwd=project,
        env=variables,
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


SANDBOX = [sys.executable, "-m", "sandbox"]


def test_secret_is_read_from_standard_input(project: Path) -> None:
    command(SANDBOX, project, "config", "set", "--secret", "T", "--stack", "dev", stdin="geheim\n")
    assert command(SANDBOX, project, "config", "get", "T", "--stack", "dev") == "geheim\n"
    listed = command(SANDBOX, project, "config", "ls", "--json", "--stack", "dev")
    assert json.loads(listed)["shop:T"] == {"secret": True}


@needs_cli
def test_each_tool_reads_what_the_other_has_written(project: Path) -> None:
    cli = [cli_path()]
    command(cli, project, "stack", "init", "dev")
    command(cli, project, "config", "set", "--secret", "A", "geheim", "--stack", "dev")
    command(cli, project, "config", "set", "--path", "network.zones", "3", "--stack", "dev")
    assert command(SANDBOX, project, "config", "get", "A", "--stack", "dev") == "geheim\n"
    command(SANDBOX, project, "config", "set", "--secret", "B", "--stack", "dev", stdin="tief")
    command(SANDBOX, project, "config", "set", "--path", "network.new", "true", "--stack", "dev")
    assert command(cli, project, "config", "get", "B", "--stack", "dev") == "tief\n"
    listing = ["--json", "--show-secrets", "--stack", "dev"]
    theirs = json.loads(command(cli, project, "config", *listing))
    assert json.loads(command(SANDBOX, project, "config", "ls", *listing)) == theirs
