"""What a killed run had made without writing it down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.engine import PlainDisplay, Request, run
from tests.sandbox.engine.kit import Kit
from tests.sandbox.engine.workspace import Workspace


@pytest.mark.parametrize(("kind", "left"), [("up", 2), ("destroy", 0), ("preview", 3)])
def test_what_a_killed_run_had_made_is_cleared_away(workspace: Workspace, kit: Kit, kind: str, left: int) -> None:
    workspace.program('a = Thing("a")\nb = Thing("b", of=a.arn)')
    workspace.json("up")
    # As if the engine had been killed when b was made, but not yet in the state; a third thing is somebody else's.
    document = json.loads(workspace.state_file.read_text())
    latest = document["checkpoint"]["latest"]
    lost = latest["resources"].pop()
    identifier = lost.pop("id")
    latest["pending_operations"] = [{"resource": {**lost, "outputs": {}}, "type": "creating"}]
    workspace.state_file.write_text(json.dumps(document))
    kept = workspace.resources()["a"]["id"]
    kit.things["foreign"] = dict(kit.things[identifier])
    with Path("/dev/null").open("w") as nowhere:
        result = run(
            Request(
                kind=kind,  # type: ignore[arg-type]  # one of its values
                directory=workspace.folder, stack="dev", backend=workspace.backend, passphrase="correct horse",
                providers={"kit": workspace.port}, environment=workspace.environment,
                created=[(workspace.urn("a"), kept), (lost["urn"], identifier)],
            ),
            PlainDisplay(nowhere),
        )  # fmt: skip
    assert result.result == "succeeded"
    assert "foreign" in kit.things
    assert (identifier in kit.things) is (kind == "preview")
    assert (kept in kit.things) is (kind != "destroy")
    assert len(kit.things) == left + (kind != "preview")
    assert bool(workspace.state().get("pending_operations")) is (kind == "preview")
