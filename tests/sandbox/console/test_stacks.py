"""Stacks, resources and outputs, read from a state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.console import RefusedError
from sandbox.console.documents import Resource
from sandbox.console.stacks import Stacks
from sandbox.engine import Step
from sandbox.engine.state.backend import Backend
from sandbox.runtime.home import Home
from sandbox.runtime.timeline import TimelineRecorder

PREFIX = "urn:pulumi:dev::platform::"
STACK = f"{PREFIX}pulumi:pulumi:Stack::platform-dev"
VPC = f"{PREFIX}aws:ec2/vpc:Vpc::network"
SUBNET = f"{PREFIX}aws:ec2/subnet:Subnet::network"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
ENCRYPTED = {**SECRET, "ciphertext": "v1:this-is-not-to-be-served"}
RESOURCES: list[dict[str, Any]] = [
    {
        "urn": STACK,
        "type": "pulumi:pulumi:Stack",
        "custom": False,
        "outputs": {"url": "http://a", "password": ENCRYPTED, "nested": {"a": ENCRYPTED}},
    },
    {
        "urn": VPC,
        "type": "aws:ec2/vpc:Vpc",
        "custom": True,
        "id": "vpc-1",
        "parent": STACK,
        "inputs": {"password": ENCRYPTED},
    },
    {
        "urn": f"{PREFIX}pulumi:providers:aws::default_7",
        "type": "pulumi:providers:aws",
        "custom": True,
        "id": "1",
    },
]


class Sandbox:
    """A home and a project with the stack files of dev and prod."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory / "home")
        project = directory / "project"
        project.mkdir()
        (project / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
        for name in ("dev", "prod"):
            (project / f"Pulumi.{name}.yaml").write_text("config: {}\n")
        self.backend = Backend(self.home.state)
        self.stacks = Stacks(self.home, project)

    def write(self, resources: list[dict[str, Any]], **more: Any) -> None:
        deployment = json.dumps({"resources": resources, **more})
        self.backend.write("platform", "dev", deployment, [])

    def recorder(self) -> TimelineRecorder:
        recorder = TimelineRecorder(
            self.home, "dev", "up", "embedded", lambda: self.stacks.resources("dev")
        )
        recorder.begin()
        return recorder

    def resources(self) -> dict[str, Resource]:
        return {item.urn: item for item in self.stacks.document("dev").resources}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.write(RESOURCES)
    return sandbox


def test_overview_has_stacks_that_have_never_been_up(sandbox: Sandbox) -> None:
    overview = sandbox.stacks.overview()
    assert (overview.project, overview.background) == ("platform", False)
    assert [(item.name, item.exists, item.resources) for item in overview.stacks] == [
        ("dev", True, 2),
        ("prod", False, 0),
    ]


def test_resources_have_parent_and_physical_id_and_no_properties(sandbox: Sandbox) -> None:
    resources = sandbox.resources()
    assert list(resources) == [STACK, VPC]  # without the default provider
    vpc = resources[VPC]
    assert (vpc.parent, vpc.name, vpc.id, vpc.status) == (STACK, "network", "vpc-1", "ready")


def test_secrets_are_not_in_the_document(sandbox: Sandbox) -> None:
    document = sandbox.stacks.document("dev")
    assert "not-to-be-served" not in repr(document)
    outputs = {item.name: (item.value, item.secret) for item in document.outputs}
    assert outputs == {
        "url": ("http://a", False),
        "password": ("", True),
        "nested": ('{"a": "[secret]"}', False),
    }


def test_running_operation_shows_what_it_creates(sandbox: Sandbox) -> None:
    recorder = sandbox.recorder()
    subnet = {"urn": SUBNET, "type": "aws:ec2/subnet:Subnet", "custom": True, "parent": VPC}
    sandbox.write(RESOURCES, pending_operations=[{"type": "creating", "resource": subnet}])
    recorder.step_started(Step("update", VPC, started=1.0))
    document = sandbox.stacks.document("dev")
    assert document.running == "up"
    resources = sandbox.resources()
    assert (resources[VPC].status, resources[SUBNET].status) == ("updating", "creating")


def test_failed_creation_is_shown_under_its_parent(sandbox: Sandbox) -> None:
    recorder = sandbox.recorder()
    recorder.step_finished(Step("create", SUBNET, parent=VPC, started=1.0, error="No address."))
    recorder.end("failed")
    subnet = sandbox.resources()[SUBNET]
    assert (subnet.status, subnet.error, subnet.parent) == ("failed", "No address.", VPC)


def test_pending_operation_of_an_ended_run_is_interrupted(sandbox: Sandbox) -> None:
    sandbox.write(
        RESOURCES, pending_operations=[{"type": "updating", "resource": {**RESOURCES[1]}}]
    )
    assert sandbox.resources()[VPC].status == "interrupted"


def test_timeline_marks_the_critical_path(sandbox: Sandbox) -> None:
    sandbox.write(
        [
            *RESOURCES,
            {
                "urn": SUBNET,
                "type": "aws:ec2/subnet:Subnet",
                "custom": True,
                "dependencies": [VPC],
            },
        ]
    )
    recorder = sandbox.recorder()
    other = f"{PREFIX}aws:iam/role:Role::other"
    for urn, started, seconds in ((VPC, 10.0, 2.0), (other, 10.0, 1.0), (SUBNET, 12.0, 3.0)):
        recorder.step_finished(Step("create", urn, started=started, seconds=seconds))
    recorder.end("succeeded")
    document = sandbox.stacks.timeline("dev")
    assert document is not None
    assert {bar.urn: bar.critical for bar in document.bars} == {
        VPC: True,
        other: False,
        SUBNET: True,
    }
    assert document.critical_seconds == 5.0
    assert sandbox.stacks.timeline("dev") is not None


def test_critical_path_of_a_running_operation_uses_the_current_state(sandbox: Sandbox) -> None:
    recorder = sandbox.recorder()
    recorder.step_finished(Step("create", VPC, started=1.0, seconds=1.0))
    recorder.step_started(Step("create", SUBNET, started=2.0))
    subnet = {
        "urn": SUBNET,
        "type": "aws:ec2/subnet:Subnet",
        "custom": True,
        "dependencies": [VPC],
    }
    sandbox.write(RESOURCES, pending_operations=[{"type": "creating", "resource": subnet}])
    document = sandbox.stacks.timeline("dev")
    assert document is not None
    assert [(bar.critical, bar.running) for bar in document.bars] == [(True, False), (True, True)]


def test_history_has_the_changes(sandbox: Sandbox) -> None:
    sandbox.backend.record(
        "platform",
        "dev",
        {
            "kind": "update",
            "result": "succeeded",
            "startTime": 1,
            "endTime": 3,
            "resourceChanges": {"create": 2, "same": 4},
        },
    )
    (operation,) = sandbox.stacks.document("dev").history
    assert (operation.kind, operation.changes) == ("up", {"create": 2})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "prod",
            "Stack prod has never been up in this sandbox; `sandbox up prod` creates it.",
        ),
        ("../dev", "There is no stack '../dev' in this project."),
    ],
)
def test_stack_without_state_is_refused(sandbox: Sandbox, name: str, message: str) -> None:
    for read in (sandbox.stacks.document, sandbox.stacks.timeline):
        with pytest.raises(RefusedError) as refused:
            read(name)
        assert str(refused.value) == message


def test_damaged_state_is_refused(sandbox: Sandbox) -> None:
    file = sandbox.backend.directory / "stacks" / "platform" / "dev.json"
    file.write_text("{")
    with pytest.raises(RefusedError, match="is not valid JSON"):
        sandbox.stacks.document("dev")
