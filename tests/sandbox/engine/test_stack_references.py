"""Stack references and stashes, which the engine serves itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import GIVING, TAKING, Workspace, beside, messages


@pytest.fixture
def taking(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A project `user` beside the stack `dev` of `demo`, which is up."""
    workspace.program(GIVING)
    workspace.json("up")
    return beside(workspace, tmp_path)


def test_stack_reference_outputs_are_read_in_previews_with_secrets(
    taking: Workspace, kit: Kit
) -> None:
    taking.program(TAKING)
    expected = {"plain": {"list": [1, "arn:kit:thing-1"]}, "hidden": "[secret]"}
    previewed = taking.json("preview")["outputs"]
    assert {key: previewed[key] for key in expected} == expected
    assert taking.json("up")["outputs"] == {**previewed, "names": ["deep", "hidden"]}
    thing = kit.named("t")[0]
    assert thing["plain"] == {"list": [1, "arn:kit:thing-1"]}
    assert (thing["hidden"], thing["deep"]) == ("hush-thing-1", {"in": "hush-thing-1"})
    assert "hush" not in taking.state_file.read_text()
    remaining = taking.resources()["again"]
    assert (remaining["external"], remaining["id"]) == (True, "organization/demo/dev")
    assert remaining["outputs"]["secretOutputNames"] == ["deep", "hidden"]
    assert taking.changes("preview") == {}
    assert taking.changes("refresh") == {}
    assert taking.changes("destroy") == {"delete": 2}


def test_stack_reference_updates_on_refresh_and_next_run(
    taking: Workspace, workspace: Workspace
) -> None:
    taking.program(TAKING)
    taking.json("up")
    workspace.program(GIVING.replace("[1,", "[2,"))
    workspace.json("up")
    assert taking.changes("refresh") == {"update": 2}
    assert taking.changes("preview") == {"update": 1}


def test_stack_outputs_are_read_by_function(taking: Workspace) -> None:
    taking.program("""
        read = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": "organization/demo/dev"}).value
        pulumi.export("plain", read["outputs"]["plain"])
        whole = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": "organization/demo/dev"}).value
        pulumi.export("types", sorted(item["type"] for item in whole["outputs"].values()))
    """)
    outputs = taking.json("preview")["outputs"]
    assert outputs["plain"] == {"list": [1, "arn:kit:thing-1"]}
    assert outputs["types"] == ["kit:index:Thing", "pulumi:providers:kit", "pulumi:pulumi:Stack"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "organization/demo/prod",
            (
                "There is no stack 'organization/demo/prod' in this backend (stacks of project 'demo': "
                "dev)."
            ),
        ),
        ("prod", "There is no stack 'prod' in this backend (stacks of project 'user': none)."),
        (
            "somebody/demo/dev",
            (
                "'somebody/demo/dev' is not a stack of this backend: the format is STACK or "
                "organization/"
            ),
        ),
        ("organization/a/b/c", "'organization/a/b/c' is not a stack of this backend"),
    ],
)
def test_missing_referenced_stack_is_reported(taking: Workspace, name: str, told: str) -> None:
    taking.program(f'pulumi.StackReference("{name}")')
    assert told in messages(taking.json("preview", expect=1))


def test_referenced_stack_with_another_passphrase_is_reported(
    taking: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking.program(TAKING)
    changed = {**taking.environment, "PULUMI_CONFIG_PASSPHRASE": "another"}
    monkeypatch.setattr(Workspace, "environment", property(lambda _: changed))
    message = messages(taking.json("preview", expect=1))
    assert (
        "The outputs of stack 'organization/demo/dev' are unreadable: its secrets use another"
        in message
    )


def test_stash_output_stays_the_first_input(workspace: Workspace) -> None:
    program = (
        'pulumi.export("kept", pulumi.Stash("s", '
        'input={"n": NUMBER, "x": pulumi.Output.secret("hush")}).output["n"])'
    )
    workspace.program(program.replace("NUMBER", "1"))
    assert workspace.changes("preview") == {"create": 2}
    workspace.json("up")
    assert "hush" not in workspace.state_file.read_text()
    assert workspace.changes("preview") == {}
    workspace.program(program.replace("NUMBER", "2"))
    assert workspace.changes("up") == {"update": 1}
    outputs = workspace.resources()["s"]["outputs"]
    assert (outputs["input"]["n"], outputs["output"]["n"]) == (2, 1)
    assert workspace.changes("refresh") == {}
    assert workspace.changes("destroy") == {"delete": 2}
