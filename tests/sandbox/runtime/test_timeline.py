"""The recorded timeline of an operation."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.engine import PlainDisplay, Result, Step
from sandbox.runtime import cli_events, timeline
from sandbox.runtime.home import Home
from sandbox.runtime.timeline import RecordingDisplay, TimelineRecorder

PREFIX = "urn:pulumi:dev::platform::"
PARENT = f"{PREFIX}platform:index:Network::network"
VPC = f"{PREFIX}platform:index:Network$aws:ec2/vpc:Vpc::network"
PROVIDER = f"{PREFIX}pulumi:providers:aws::aws"
RESOURCES: list[dict[str, Any]] = [
    {"urn": PARENT},
    {"urn": VPC, "parent": PARENT, "dependencies": [PROVIDER], "provider": f"{PROVIDER}::1"},
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def recorder(home: Home) -> TimelineRecorder:
    recorder = TimelineRecorder(home, "dev", "up", "embedded", lambda: RESOURCES)
    recorder.begin()
    return recorder


def read(home: Home) -> timeline.Timeline:
    recorded = timeline.read(home, "dev")
    assert recorded is not None
    return recorded


def test_stack_without_operation_has_no_timeline(home: Home) -> None:
    assert timeline.read(home, "dev") is None


def test_running_step_has_no_end(home: Home, recorder: TimelineRecorder) -> None:
    step = Step("create", VPC, parent=PARENT, started=100.0)
    recorder.step_started(step)
    recorded = read(home)
    assert (recorded.kind, recorded.result, recorded.ended) == ("up", "running", None)
    assert [(item.urn, item.started, item.ended) for item in recorded.steps] == [(VPC, 100.0, None)]


def test_ended_operation_has_durations_errors_and_dependencies(
    home: Home, recorder: TimelineRecorder
) -> None:
    step = Step("create", VPC, parent=PARENT, started=100.0)
    recorder.step_started(step)
    step.seconds, step.error = 2.5, "The quota is exhausted."
    recorder.step_finished(step)
    recorder.end("failed")
    recorded = read(home)
    (recorded_step,) = recorded.steps
    assert (recorded_step.ended, recorded_step.error) == (102.5, "The quota is exhausted.")
    assert recorded.result == "failed"
    assert recorded.dependencies[VPC] == {PARENT, PROVIDER}


def test_dependency_on_a_component_includes_its_descendants(home: Home) -> None:
    dependent, later = f"{PREFIX}aws:eks/cluster:Cluster::cluster", f"{PREFIX}later::later"
    root = f"{PREFIX}pulumi:pulumi:Stack::platform-dev"
    resources = [
        {"urn": root, "custom": False},
        {"urn": PARENT, "custom": False, "parent": root},
        {"urn": VPC, "custom": True, "parent": PARENT},
        {"urn": dependent, "custom": True, "parent": root, "dependencies": [PARENT]},
        {"urn": later, "custom": True, "parent": PARENT, "dependencies": [dependent]},
    ]
    recorder = TimelineRecorder(home, "dev", "up", "embedded", lambda: resources)
    recorder.begin()
    needs = read(home).dependencies
    assert needs[dependent] == {root, PARENT, VPC}
    assert needs[later] == {PARENT, dependent}


def test_components_and_unchanged_resources_are_left_out(
    home: Home, recorder: TimelineRecorder
) -> None:
    recorder.step_finished(Step("create", PARENT, custom=False))
    recorder.step_finished(Step("same", VPC))
    recorder.step_finished(Step("create", f"{PREFIX}pulumi:providers:aws::default_7"))
    assert read(home).steps == ()


def test_cut_line_is_left_out(home: Home, recorder: TimelineRecorder) -> None:
    with (home.timelines / "dev.jsonl").open("a") as file:
        file.write('{"urn": "cut')
    assert read(home).steps == ()


def test_operation_of_a_dead_process_is_interrupted(home: Home, recorder: TimelineRecorder) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    path = home.timelines / "dev.jsonl"
    head = path.read_text()
    path.write_text(head.replace(str(recorder._head["pid"]), ended.stdout.decode().strip()))
    assert read(home).result == "interrupted"


def test_display_records_what_it_forwards(home: Home, recorder: TimelineRecorder) -> None:
    stream = io.StringIO()
    display = RecordingDisplay(PlainDisplay(stream), recorder)
    step = Step("create", VPC, started=1.0)
    display.step_started(step)
    display.step_finished(step)
    display.finished(Result("succeeded", "dev", "up", {"create": 1}, 1.0, [step]))
    assert "aws:ec2:Vpc network created" in stream.getvalue()
    assert read(home).result == "succeeded"
    assert len(read(home).steps) == 1


def test_steps_of_the_cli_have_the_times_of_its_log() -> None:
    metadata = {"op": "create", "urn": VPC, "new": {"custom": True, "id": "vpc-1"}}
    events = [
        {"timestamp": 100, "resourcePreEvent": {"metadata": metadata}},
        {"timestamp": 103, "resOutputsEvent": {"metadata": metadata}},
    ]
    (step,) = cli_events.steps(events, preview=False)
    assert (step.started, step.seconds) == (100.0, 3.0)


def test_event_that_a_full_disk_has_cut_ends_the_log(tmp_path: Path) -> None:
    log = tmp_path / "events.json"
    log.write_text('{"sequence": 1}\n\n{"sequence": 2}\n{"sequence": 3, "diagnosticEv')
    assert list(cli_events.read(log)) == [{"sequence": 1}, {"sequence": 2}]
