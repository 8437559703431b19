"""Resource options: aliases, ignored changes, retention, secrets, providers, targets, imports,
reads.
"""

from __future__ import annotations

import json
import threading

import pytest

from sandbox.engine import stack_outputs
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace, messages, steps


def test_aliases_rename_and_reparent_a_resource_and_its_children(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        group = Group("web")
        inner = Group("web-inner", Options(parent=group))
        a = Thing("a", Options(parent=inner))
        loose = Thing("loose")
        typed = Thing("typed", Options(parent=group))
        last = Thing("last", of=a.arn)
    """)
    workspace.json("up")
    old = workspace.urn("loose")
    workspace.program(f"""
        group = Group("site", Options(aliases=[pulumi.Alias(name="web")]))
        inner = Group("site-inner", Options(parent=group))
        a = Thing("a", Options(parent=inner))
        loose = Thing("tight", Options(aliases=["{old}"]))
        typed = Thing("typed", Options(aliases=[pulumi.Alias(parent=group)]))
        last = Thing("last", of=a.arn)
    """)
    assert workspace.changes("preview") == {}
    assert workspace.changes("up") == {}
    assert len(kit.things) == 4
    assert "::web" not in workspace.state_file.read_text()
    assert workspace.resources()["last"]["dependencies"] == [workspace.urn("a")]
    assert workspace.changes("up") == {}


def test_ignore_changes_applies_to_nested_properties(workspace: Workspace, kit: Kit) -> None:
    text = """
        Thing("a", Options(ignore_changes=["plain", "deep.x", 'list[0].n', "all.*.v", '["do.t"]', "new"]), plain=N,
            deep={"x": N, "y": 1}, list=[{"n": N, "m": 1}], all={"p": {"v": N}, "q": {"v": N}}, **{"do.t": N})
    """
    workspace.program(text.replace("N", "1"))
    workspace.json("up")
    workspace.program(text.replace("N", "2"))
    assert workspace.changes("up") == {}
    workspace.program(
        text.replace("N", "2").replace('"y": 1', '"y": 2').replace('"m": 1', '"m": 3')
    )
    assert workspace.changes("up") == {"update": 1}
    assert kit.named("a")[0]["deep"] == {"x": 1, "y": 2}
    assert kit.named("a")[0]["list"] == [{"n": 1, "m": 3}]


def test_retain_on_delete_and_deleted_with_remove_from_the_state_only(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        a = Thing("a")
        b = Thing("b", Options(deleted_with=a))
        c = Thing("c", Options(retain_on_delete=True))
    """)
    workspace.json("up")
    workspace.json("destroy")
    assert {thing["__name"] for thing in kit.things.values()} == {"b", "c"}
    assert ("delete", "a") in kit.calls
    assert workspace.state().get("resources", []) == []


def test_deleted_with_resource_stays_in_the_state_until_its_owner_is_deleted(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        host = Thing("host")
        own = KitProvider("own", region=host.arn)
        group = Group("group")
        really = Thing("really", Options(parent=group))
        inside = Thing("inside", Options(parent=group, provider=own, deleted_with=host, depends_on=[really]))
    """)
    workspace.json("up")
    kit.broken.add("delete host")
    workspace.json("destroy", expect=1)
    kit.broken.clear()
    # The resumed deletion deletes only what still exists.
    assert {thing["__name"] for thing in kit.things.values()} == {"host", "inside"}
    assert {"host", "own", "group", "inside"} <= workspace.resources().keys()
    assert "really" not in workspace.resources()
    assert workspace.changes("up") == {"create": 1}
    workspace.json("destroy")
    assert {thing["__name"] for thing in kit.things.values()} == {"inside"}
    assert workspace.state().get("resources", []) == []


def test_secrets_are_encrypted_in_the_state_and_masked_in_output(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        hidden = pulumi.Output.secret("xyzzy-plugh")
        a = Thing("a", Options(additional_secret_outputs=["loud"]), word=hidden, deep={"in": [hidden]}, loud="ab-racadabra")
        b = Thing("b", of=a.word, also=a.token)
        print("the program says nothing secret")
        pulumi.export("word", a.word)
        pulumi.export("deep", {"in": [a.deep]})
        pulumi.export("loud", a.loud)
    """)
    shown = [workspace.run("preview", "--diff"), workspace.run("up", "--diff")]
    workspace.program("""
        hidden = pulumi.Output.secret("xyzzy-plugh-2")
        a = Thing("a", Options(additional_secret_outputs=["loud"]), word=hidden, deep={"in": [hidden]}, loud="ab-racadabra")
        b = Thing("b", of=a.word, also=a.token)
        pulumi.export("word", a.word)
        pulumi.export("loud", a.loud)
    """)
    shown += [
        workspace.run("preview", "--diff"),
        workspace.run("up", "--diff"),
        workspace.run("destroy"),
    ]
    everything = "".join(done.stdout + done.stderr for done in shown)
    everything += "".join(
        path.read_text() for path in (workspace.backend / ".pulumi").rglob("*") if path.is_file()
    )
    assert "[secret]" in everything
    for word in ("xyzzy", "hush-"):
        assert word not in everything
    outputs = workspace.run("up").stdout.partition("Outputs:")[2]
    assert "ab-racadabra" not in outputs


def test_explicit_provider_is_configured_when_its_inputs_are_known(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program("""
        first = Thing("first")
        own = KitProvider("own", region=first.arn)
        a = Thing("a", Options(provider=own))
        group = Group("group", Options(providers=[own]))
        b = Thing("b", Options(parent=group), of=a.arn)
    """)
    preview = workspace.json("preview")
    assert {"first", "own", "a", "b", "group"} <= steps(preview).keys()
    workspace.json("up")
    assert [item for item in kit.configured if "region" in item] == [{"region": "arn:kit:thing-1"}]
    for name in ("a", "b"):
        assert workspace.resources()[name]["provider"].split("::")[-2] == "own"
    assert workspace.resources()["first"]["provider"].split("::")[-2] == "default"
    assert workspace.changes("preview") == {}
    workspace.json("destroy")
    assert not kit.things


def test_provider_replacement_replaces_its_resources(workspace: Workspace, kit: Kit) -> None:
    text = """
        own = KitProvider("own", account="one", region="north")
        a = Thing("a", Options(provider=own))
    """
    workspace.program(text)
    workspace.json("up")
    workspace.program(text.replace("north", "south"))
    assert steps(workspace.json("up")) == {"own": "update"}
    workspace.program(text.replace("one", "two"))
    preview = workspace.json("preview")
    assert preview["changes"]["replace"] == 2
    assert workspace.changes("up")["replace"] == 2
    assert len(kit.things) == 1
    assert workspace.changes("preview") == {}


def test_default_provider_uses_the_stack_configuration(workspace: Workspace, kit: Kit) -> None:
    workspace.yaml(
        "Pulumi.dev.yaml", "config:\n  kit:region: north\n  kit:deep:\n    a: [1, true]\n"
    )
    workspace.program('Thing("a")')
    workspace.json("up")
    assert kit.configured[-1] == {"region": "north", "deep": '{"a":[1,true]}'}


def test_targets_limit_creations_updates_and_deletions(workspace: Workspace, kit: Kit) -> None:
    text = """
        a = Thing("a", v=1)
        b = Thing("b", of=a.arn, v=1)
        c = Thing("c", v=1)
    """
    workspace.program(text)
    workspace.json("up", "--target", "**::a")
    assert {thing["__name"] for thing in kit.things.values()} == {"a"}
    workspace.json("up")
    workspace.program(text.replace("v=1", "v=2"))
    changed = workspace.json("up", "--target", workspace.urn("c"))
    assert steps(changed) == {"c": "update"}
    assert steps(workspace.json("up", "--target", "**::a", "--target-dependents")) == {
        "a": "update",
        "b": "update",
    }
    refused = workspace.json("destroy", "--target", workspace.urn("a"), expect=1)
    assert "Deleting the targets would break" in messages(refused)
    assert len(kit.things) == 3
    assert workspace.changes("destroy", "--target", workspace.urn("a"), "--target-dependents") == {
        "delete": 2
    }
    assert {thing["__name"] for thing in kit.things.values()} == {"c"}
    invalid = workspace.json(
        "up", "--target", "urn:pulumi:dev::demo::kit:index:Thing::zzz", expect=1
    )
    assert "No resource has the target URN" in messages(invalid)


def test_import_records_an_existing_resource_and_updates_differences(
    workspace: Workspace, kit: Kit
) -> None:
    kit.things["old-1"] = {"colour": "red", "size": 1, "defaulted": "by kit", "__name": "x"}
    workspace.program('Thing("a", Options(import_="none"), colour="red")')
    assert "There is no resource with the ID 'none'" in messages(workspace.json("up", expect=1))
    workspace.program('Thing("a", Options(import_="old-1"), colour="red", size=2)')
    assert "size: 1 is live, 2 in the program" in messages(workspace.json("preview"), "warning")
    assert "size: 1 is live, 2 in the program" in messages(workspace.json("up", expect=1))
    assert workspace.resources()["a"]["inputs"]["size"] == 1  # imported, not replaced
    workspace.json("destroy")
    kit.things["old-1"] = {"colour": "red", "defaulted": "by kit", "__name": "x"}
    text = 'Thing("a", Options(import_="old-1"), colour="COLOUR")'
    workspace.program(text.replace("COLOUR", "blue"))
    for operation in ("preview", "up"):
        assert workspace.changes(operation) == {
            "create": 2,
            "update": 1,
        }  # the stack and the imported resources
    assert workspace.resources()["a"]["id"] == "old-1"
    assert kit.things["old-1"]["colour"] == "blue"
    assert workspace.changes("up") == {}
    workspace.program('Thing("a", colour="green")')
    assert workspace.changes("up") == {"update": 1}
    assert "importID" not in workspace.resources()["a"]
    workspace.program('Thing("a", Options(import_="none"), colour="green")')
    assert "There is no resource with the ID 'none'" in messages(workspace.json("up", expect=1))
    kit.things["old-2"] = {"colour": "red", "defaulted": "by kit", "__name": "x"}
    workspace.program('Thing("a", Options(import_="old-2"), colour="red")')
    assert workspace.changes("preview") == {"replace": 1}
    assert workspace.changes("up") == {"replace": 1}
    assert list(kit.things) == ["old-2"]


def test_external_resource_is_read_and_never_deleted(workspace: Workspace, kit: Kit) -> None:
    kit.things["old-1"] = {"colour": "red", "__name": "x"}
    workspace.program("""
        found = Thing("found", Options(id="old-1"), colour=None)
        a = Thing("a", of=found.arn)
        pulumi.export("found", found.arn)
    """)
    assert workspace.json("up")["outputs"]["found"] == "arn:kit:old-1"
    assert workspace.changes("preview") == {}
    workspace.json("destroy")
    assert list(kit.things) == ["old-1"]


def test_functions_are_invoked_in_previews(workspace: Workspace) -> None:
    workspace.program("""
        found = pulumi.runtime.invoke("kit:index:lookup", {"key": "value"})
        pulumi.export("found", found.value)
        a = Thing("a")
        later = pulumi.runtime.invoke_output("kit:index:lookup", {"key": a.arn})
        pulumi.export("later", later.apply(lambda answer: answer["key"]))
    """)
    assert workspace.json("preview")["outputs"]["found"] == {"key": "value", "found": "yes"}
    up = workspace.json("up")
    assert up["outputs"]["later"] == "arn:kit:thing-1"


def test_custom_timeouts_and_parallelism_are_applied(workspace: Workspace, kit: Kit) -> None:
    workspace.program("""
        for i in range(6):
            Thing(f"t{i}", Options(custom_timeouts=pulumi.CustomTimeouts(create="1h30m")), pause=0.2)
    """)
    kit.meeting = threading.Barrier(2)
    workspace.json("up", "--parallel", "2")
    assert kit.most_concurrent == 2
    assert workspace.resources()["t0"]["customTimeouts"] == {"create": 5400}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('Thing("a", Options(state_migrations=[lambda args: None]))', "state migrations"),
        (
            (
                "import pulumi.runtime.settings as s\nasync def ask():\n    await "
                's.register_package("kit", "1.0.0", "", "sub", "1.0.0", "e30=")\npulumi.run(ask)'
            ),
            "Package 'kit' is parameterized",
        ),
        (
            'pulumi.CustomResource("pulumi:pulumi:Nope", "a", {})',
            "has no resource pulumi:pulumi:Nope",
        ),
        ('pulumi.runtime.invoke("pulumi:pulumi:nope", {})', "has no function pulumi:pulumi:nope"),
    ],
)
def test_unsupported_features_are_refused_by_name(
    workspace: Workspace, kit: Kit, text: str, named: str
) -> None:
    workspace.program(text)
    failed = workspace.json("up", expect=1)
    assert named.lower() in json.dumps(failed["diagnostics"]).lower()
    assert not kit.things


def test_methods_are_called_on_the_resources_provider(workspace: Workspace) -> None:
    workspace.program("""
        def call(token, resource):
            outputs = pulumi.runtime.call(token, {"__self__": resource}, resource)
            return outputs.apply(lambda found: found["said"])
        own = KitProvider("own", region="north")
        pulumi.export("thing", call("kit:index:Thing/shout", Thing("a", Options(provider=own))))
        pulumi.export("provider", call("pulumi:providers:kit/shout", own))
    """)
    assert set(workspace.json("preview")["outputs"]) == {"thing", "provider"}
    outputs = workspace.json("up")["outputs"]
    assert outputs == {"provider": "[secret]", "thing": "[secret]"}
    assert "hush" not in workspace.state_file.read_text()
    shown = stack_outputs(workspace.backend, "demo", "dev", "correct horse", show_secrets=True)
    assert shown == {
        "provider": "pulumi:providers:kit/shout of own as north",
        "thing": "kit:index:Thing/shout of a as north",
    }
    assert not any("default" in name for name in workspace.resources())
