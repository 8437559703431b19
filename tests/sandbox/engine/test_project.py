"""Project files: configuration, passphrase, stacks, and their errors."""

from __future__ import annotations

import json

import pytest

from sandbox.engine import UsageError, export_stack, import_stack, list_stacks, stack_outputs
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages


def test_configuration_has_structures_defaults_and_overrides(workspace: Workspace) -> None:
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
    outputs = workspace.json(
        "preview", "-c", "deep.list=[2]", "-c", "deep.on=true", "-c", "size=007"
    )["outputs"]
    assert outputs == {
        "flag": "true",
        "version": "1.10",
        "size": "007",
        "deep": {"list": [2], "on": True, "kept": 1},
        "colour": "red",
        "stack": ["demo", "dev", "organization"],
    }


def test_configuration_scalars_match_the_cli(workspace: Workspace) -> None:
    written = {
        "yes": "yes",
        "time": "22:30",
        "date": "2024-01-02",
        "octal": "0777",
        "account": "012345678901",
        "hex": "0xff",
        "float": "1.50",
        "exponent": "1e3",
        "thousand": "1_000",
        "huge": "12345678901234567890123",
        "quoted": "'010'",
        "moment": "2024-01-02T03:04:05.60+02:00",
        "nothing": "~",
        "version": "1.10",
        "nested": "{b: [1.0, on, 010], a: <&>}",
    }
    workspace.yaml(
        "Pulumi.dev.yaml",
        "config:\n" + "".join(f"  demo:{key}: {text}\n" for key, text in written.items()),
    )
    workspace.program(f"""
        config = pulumi.Config()
        pulumi.export("read", {{key: config.get(key) for key in {list(written)}}})
    """)
    assert workspace.json("preview")["outputs"]["read"] == {
        "yes": "yes",
        "time": "22:30",
        "date": "2024-01-02 00:00:00 +0000 UTC",
        "octal": "511",
        "account": "12345678901",
        "hex": "255",
        "float": "1.5",
        "exponent": "1000",
        "thousand": "1000",
        "huge": "1.2345678901234568e+22",
        "quoted": "010",
        "moment": "2024-01-02 03:04:05.6 +0200 +0200",
        "nothing": "",
        "version": "1.1",
        "nested": r'{"a":"\u003c\u0026\u003e","b":[1,"on",8]}',
    }


def test_wrong_passphrase_is_refused_before_any_change(workspace: Workspace, kit: Kit) -> None:
    workspace.program('Thing("a", word=pulumi.Output.secret("x"))')
    workspace.json("up")
    before = workspace.state_file.read_text()
    environment = dict(workspace.environment) | {"PULUMI_CONFIG_PASSPHRASE": "wrong"}
    type(workspace).environment = property(lambda self: environment)  # type: ignore[method-assign, assignment]
    try:
        refused = workspace.json("destroy", expect=1)
    finally:
        type(workspace).environment = _ENVIRONMENT  # type: ignore[method-assign]
    assert "The passphrase does not decrypt this stack's secrets" in messages(refused)
    assert workspace.state_file.read_text() == before


_ENVIRONMENT = Workspace.environment


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Pulumi.yaml", "name: demo\nruntime: nodejs\n", "runtime is 'nodejs'"),
        ("Pulumi.yaml", "name: demo\nruntime: python\nplugins: {}\n", "plugins is not supported"),
        ("Pulumi.yaml", "name: demo\nruntime: python\nmain: nowhere\n", "which does not exist"),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: {name: python, options: {virtualenv: venv}}\n",
            "virtual environment 'venv'",
        ),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: python\nconfig:\n  need: {type: string}\n",
            "missing: demo:need",
        ),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: python\nconfig:\n  n: {type: integer, default: x}\n",
            "demo:n must be of type integer",
        ),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: python\nconfig:\n  s: {type: string, secret: true, default: x}\n",
            "demo:s is declared secret",
        ),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: python\nconfig:\n  aws:region: {default: x}\n",
            "another namespace",
        ),
        (
            "Pulumi.yaml",
            "name: demo\nruntime: python\nconfig:\n  l: {type: array, items: {type: integer}, default: [1, x]}\n",
            "demo:l must be of type array of integer",
        ),
        ("Pulumi.dev.yaml", "config: [\n", "is unreadable"),
        (
            "Pulumi.dev.yaml",
            "secretsprovider: gcpkms://x\nconfig: {}\n",
            "`secretsprovider: gcpkms://x` is not supported",
        ),
    ],
)
def test_invalid_file_is_reported_with_name_and_reason(
    workspace: Workspace, name: str, text: str, said: str
) -> None:
    workspace.program("")
    workspace.yaml(name, text)
    # Configuration that does not match the declarations has the CLI's exit code.
    mismatch = any(word in said for word in ("missing: demo:", "must be of type", "is declared"))
    refused = workspace.json("preview", expect=1 if mismatch else 2)
    assert said in messages(refused)
    assert name in messages(refused)


def test_unknown_stack_is_refused_with_the_existing_names(workspace: Workspace) -> None:
    workspace.program("")
    for operation in ("up", "preview", "destroy", "refresh"):
        refused = workspace.json(operation, "--stack", "pord", expect=2)
        assert "'pord'" in messages(refused)
        assert "Stacks: dev" in messages(refused)
    assert not workspace.state_file.exists()


def test_stacks_are_listed_exported_and_imported(workspace: Workspace) -> None:
    workspace.program(
        'a = Thing("a")\npulumi.export("arn", a.arn)\npulumi.export("token", a.token)'
    )
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


def test_state_with_an_unknown_feature_is_refused(workspace: Workspace) -> None:
    workspace.program('a = Thing("a")\nThing("b", Options(replace_with=[a]))')
    workspace.json("up")
    checkpoint = json.loads(workspace.state_file.read_text())
    assert (checkpoint["version"], checkpoint["features"]) == (4, ["replaceWith"])
    exported = export_stack(workspace.backend, "demo", "dev", "correct horse")
    assert (exported["version"], exported["features"]) == (4, ["replaceWith"])
    import_stack(workspace.backend, "demo", "dev", "correct horse", exported)
    assert workspace.changes("preview") == {}
    workspace.state_file.write_text(
        json.dumps({**checkpoint, "features": ["byteString", "replaceWith"]})
    )
    assert "uses byteString, which this engine does not support" in messages(
        workspace.json("preview", expect=1)
    )
    workspace.state_file.write_text(json.dumps(checkpoint))
    workspace.program('Thing("a")\nThing("b")')
    workspace.json("up")
    assert json.loads(workspace.state_file.read_text())["version"] == 3


def test_refresh_records_changed_and_missing_resources(workspace: Workspace, kit: Kit) -> None:
    workspace.program(
        'a = Thing("a", colour="red")\nb = Thing("b", of=a.arn)\nc = Thing("c", of=b.arn)'
    )
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
