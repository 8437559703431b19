"""Resources that a killed run created without recording them."""

from __future__ import annotations

import json

import pytest

from sandbox.engine import Deviations
from sandbox.engine.request import Kind
from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import Workspace


@pytest.mark.parametrize(("kind", "left"), [("up", 2), ("destroy", 0), ("preview", 3)])
def test_orphans_of_a_killed_run_are_deleted(
    workspace: Workspace, kit: Kit, kind: Kind, left: int
) -> None:
    workspace.program('a = Thing("a")\nb = Thing("b", of=a.arn)')
    workspace.json("up")
    # Simulates an engine killed between the creation of b and its record; the third resource is
    # foreign.
    document = json.loads(workspace.state_file.read_text())
    latest = document["checkpoint"]["latest"]
    lost = latest["resources"].pop()
    identifier = lost.pop("id")
    latest["pending_operations"] = [{"resource": {**lost, "outputs": {}}, "type": "creating"}]
    workspace.state_file.write_text(json.dumps(document))
    remaining = workspace.resources()["a"]["id"]
    kit.things["foreign"] = dict(kit.things[identifier])
    result = workspace.perform(
        kind, created=[(workspace.urn("a"), remaining), (lost["urn"], identifier)]
    )
    assert result.result == "succeeded"
    assert "foreign" in kit.things
    assert (identifier in kit.things) is (kind == "preview")
    assert (remaining in kit.things) is (kind != "destroy")
    assert len(kit.things) == left + (kind != "preview")
    assert bool(workspace.state().get("pending_operations")) is (kind == "preview")


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "not deleted"])
def test_interrupted_deletion_is_resolved_by_reading_the_resource(
    workspace: Workspace, kit: Kit, gone: bool
) -> None:
    workspace.program('a = Thing("a")\nb = Thing("b", of=a.arn)')
    workspace.json("up")
    document = json.loads(workspace.state_file.read_text())
    latest = document["checkpoint"]["latest"]
    deleted = latest["resources"][-1]
    latest["pending_operations"] = [{"resource": deleted, "type": "deleting"}]
    workspace.state_file.write_text(json.dumps(document))
    if gone:  # the provider finished after the engine was killed
        del kit.things[deleted["id"]]
    result = workspace.perform("refresh", only_interrupted=True)
    assert [step.urn for step in result.steps] == [deleted["urn"]]
    assert ("no longer exists" in result.diagnostics[0].message) is gone
    assert ("b" in workspace.resources()) is not gone
    assert workspace.state().get("pending_operations", []) == []


@pytest.mark.parametrize("kind", ["up", "refresh", "destroy"])
@pytest.mark.parametrize("forget", [True, False])
def test_record_of_an_interrupted_creation_is_removed_on_request(
    workspace: Workspace, kind: Kind, forget: bool
) -> None:
    workspace.program('Thing("a")')
    workspace.json("up")
    document = json.loads(workspace.state_file.read_text())
    latest = document["checkpoint"]["latest"]
    created = latest["resources"].pop()
    del created["id"]
    latest["pending_operations"] = [{"resource": created, "type": "creating"}]
    workspace.state_file.write_text(json.dumps(document))
    result = workspace.perform(kind, deviations=Deviations(forget_creations=forget))
    assert result.result == "succeeded"
    assert bool(workspace.state().get("pending_operations")) is not forget
