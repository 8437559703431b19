"""The project's files and the engine as a tool: configuration, passphrase, stacks, what is said when they are wrong."""

from __future__ import annotations

import json

import pytest

from sandbox.engine import UsageError, export_stack, import_stack, list_stacks, stack_outputs
from tests.engine.kit import Kit
from tests.engine.workspace import Workspace, messages


def test_configuration_reaches_the_program_with_its_structures_defaults_and_overrides(workspace: Workspace) -> None:
    workspace.yaml(
        "Pulumi.yaml",
        "name: demo\nruntime: {name: python}\nmain: src\nconfig:\n  size: {type: integer, default: 3}\n  other:colour: {value: red}\n",
    )
    workspace.yaml(
        "Pulumi.dev.yaml",
        'config:\n  demo:flag: true\n  demo:version: "1.10"\n  demo:deep: {list: [1, {x: "y"}], on: false, kept: 1}\n',
    )
    (workspace.folder / "src").mkdir()
    workspace.program("")
    (workspace.folder / "__main__.py").rename(workspace.folder / "src" / "__main__.py")
    with (workspace.folder / "src" / "__main__.py").open("a") as file:
        file.write("""
config = pulumi.Config()
for key in ("flag", "version", "size"):
    pulumi.export(key, config.get(key))
pulumi.export("deep", config.require_object("deep"))
pulumi.export("colour", pulumi.Config("other").get("colour"))
pulumi.export("stack", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
""")
    outputs = workspace.json("preview", "-c", "deep.list=[2]", "-c", "deep.on=true", "-c", "size=007")["outputs"]
    assert outputs == {
        "flag": "true",
        "version": "1.10",
        "size": "007",
        "deep": {"list": [2], "on": True, "kept": 1},
        "colour": "red",
        "stack": ["demo", "dev", "organization"],
    }


def test_a_wrong_passphrase_is_told_and_nothing_is_touched(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", word=pulumi.Output.secret("x"))')
    workspace.json("up")
    before = workspace.state_file.read_text()
    environment = dict(workspace.environment) | {"PULUMI_CONFIG_PASSPHRASE": "wrong"}
    type(workspace).environment = property(lambda self: environment)  # type: ignore[method-assign, assignment]
    try:
        refused = workspace.json("destroy", expect=1)
    finally:
        type(workspace).environment = _ENVIRONMENT  # type: ignore[method-assign]
    assert "The passphrase doesn't open this stack's secrets" in messages(refused)
    assert workspace.state_file.read_text() == before


_ENVIRONMENT = Workspace.environment


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Pulumi.yaml", "name: demo\nruntime: nodejs\n", "runtime is 'nodejs'"),
        ("Pulumi.yaml", "name: demo\nruntime: python\nplugins: {}\n", "plugins is not supported"),
        ("Pulumi.yaml", "name: demo\nruntime: python\nmain: nowhere\n", "which doesn't exist"),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: {name: python, options: {virtualenv: venv}}\n",
            "virtual environment 'venv'",
        ),
        ("Pulumi.yaml", "name: demo\nruntime: python\nconfig:\n  need: {type: string}\n", "missing: demo:need"),
        ("Pulumi.dev.yaml", "config: [\n", "can't be read"),
        ("Pulumi.dev.yaml", "secretsprovider: awskms://x\nconfig: {}\n", "`secretsprovider` is not supported"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(
    workspace: Workspace, name: str, text: str, said: str
) -> None:
    workspace.program("")
    workspace.yaml(name, text)
    refused = workspace.json("preview", expect=2)
    assert said in messages(refused)
    assert name in messages(refused)


def test_an_unknown_stack_is_refused_naming_the_known_ones(workspace: Workspace) -> None:
    workspace.program("")
    for operation in ("up", "preview", "destroy", "refresh"):
        refused = workspace.json(operation, "--stack", "pord", expect=2)
        assert "'pord'" in messages(refused)
        assert "Known stacks: dev" in messages(refused)
    assert not workspace.state_file.exists()


def test_stacks_are_listed_exported_imported_and_their_outputs_read(workspace: Workspace) -> None:
    workspace.program('a = Thing("a")\npulumi.export("arn", a.arn)\npulumi.export("token", a.token)')
    workspace.json("up")
    where = (workspace.backend, "demo", "dev", "correct horse")
    assert list_stacks(workspace.backend, "demo") == ["dev"]
    assert stack_outputs(*where) == {"arn": "arn:kit:thing-1", "token": "[secret]"}
    assert stack_outputs(*where, show_secrets=True)["token"] == "hush-thing-1"
    assert "hush" not in json.dumps(export_stack(*where))
    exported = export_stack(*where, show_secrets=True)
    assert "hush-thing-1" in json.dumps(exported)
    import_stack(*where, exported)
    assert "hush" not in workspace.state_file.read_text()
    assert workspace.changes("preview") == {}
    with pytest.raises(UsageError, match="is of another stack"):
        import_stack(workspace.backend, "demo", "prod", "correct horse", exported)


def test_refresh_finds_what_changed_and_what_vanished(workspace: Workspace, kit: Kit) -> None:
    workspace.program('a = Thing("a", colour="red")\nb = Thing("b", of=a.arn)\nc = Thing("c", of=b.arn)')
    workspace.json("up")
    kit.things["thing-1"]["colour"] = "blue"
    del kit.things["thing-2"]
    refreshed = workspace.json("refresh", "--expect-no-changes", expect=7)
    assert (refreshed["changes"]["update"], refreshed["changes"]["delete"]) == (1, 1)
    assert workspace.resources()["a"]["outputs"]["colour"] == "blue"
    assert "b" not in workspace.resources()
    assert workspace.changes("up")["create"] == 1
    assert kit.things["thing-1"]["colour"] == "red"


def test_plain_output_has_one_line_per_step_outputs_and_a_summary(workspace: Workspace) -> None:
    workspace.program('a = Thing("a")\nprint("from the program")\npulumi.export("arn", a.arn)')
    shown = workspace.run("up").stdout
    assert "kit:index:Thing a created" in shown
    assert "from the program" in shown
    assert 'arn : "arn:kit:thing-1"' in shown
    assert "+ 2 created" in shown
    assert "default" not in shown
