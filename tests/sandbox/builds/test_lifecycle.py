"""How builds end: stop, time-out, restart and kill of the background process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.account import Account
from sandbox.builds import LocalBuildRunner
from tests.sandbox.builds.conftest import SECONDS, Builds, surroundings
from tests.sandbox.builds.test_phases import running

SLEEP = "version: 0.2\nphases: {build: {commands: [echo started, sleep %s, echo never]}}"
# A background process with a build that waits, to be killed.
PROCESS = """
import sys, time
from pathlib import Path
from tests.sandbox.builds.conftest import Builds
builds = Builds(Path(sys.argv[1]))
name = builds.project("version: 0.2\\nphases: {build: {commands: [echo started, sleep 8765]}}")
id = builds.submit(name)
builds.wait(id, lambda build: "started" in builds.log(build))
print(id, flush=True)
time.sleep(600)
"""


def gone(argument: str) -> bool:
    return within_ten_seconds(lambda: not running(argument))


def within_ten_seconds(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_stopped_build_ends_with_its_processes(builds: Builds) -> None:
    id = builds.submit(builds.project(SLEEP % "7001"))
    builds.wait(id, lambda build: "started" in builds.log(build))
    stopped = builds.client("codebuild").stop_build(id=id)["build"]
    assert stopped["id"] == id
    build = builds.wait(id)
    phases = {phase["phaseType"]: phase.get("phaseStatus") for phase in build["phases"]}
    assert (build["buildStatus"], phases["BUILD"]) == ("STOPPED", "STOPPED")
    assert "POST_BUILD" not in phases
    assert gone("7001")
    work = builds.home / "builds" / id.partition(":")[2] / "work"
    assert within_ten_seconds(lambda: not work.exists())


def test_build_that_exceeds_its_time_times_out(builds: Builds) -> None:
    from dataclasses import replace

    from sandbox.builds.build import Build
    from sandbox.builds.record import BuildRecord
    from sandbox.contracts.build_record import new_build, utc
    from sandbox.contracts.build_runner import BuildOrder

    project = builds.client("codebuild").batch_get_projects(names=[builds.project(SLEEP % "7002")])[
        "projects"
    ][0]
    order = BuildOrder(
        id="p:timeout",
        arn="arn:aws:codebuild:us-east-1:123456789012:build/p:timeout",
        number=1,
        region="us-east-1",
        project={**project, "timeoutInMinutes": 1 / 60},
    )
    order = replace(order, initiator="test")
    record = BuildRecord(builds.home / "timeout.json", new_build(order, utc(time.time())))
    record.end_phase()
    build = Build(
        order=order,
        record=record,
        directory=builds.home / "timeout",
        surroundings=surroundings(builds.home, builds.account),
    )
    assert build.run() == "TIMED_OUT"
    assert record.content()["buildStatus"] == "TIMED_OUT"
    assert gone("7002")


def test_restart_ends_running_builds_as_failed_and_keeps_ended_ones(builds: Builds) -> None:
    ended = builds.run("version: 0.2\nphases: {build: {commands: [echo x]}}")
    id = builds.submit(builds.project(SLEEP % "7003"))
    builds.wait(id, lambda build: "started" in builds.log(build))
    builds.stop()
    assert gone("7003")
    builds.start()
    assert builds.get(ended.build["id"])["buildStatus"] == "SUCCEEDED"
    build = builds.get(id)
    assert (build["buildStatus"], build["buildComplete"]) == ("FAILED", True)
    messages = [c["message"] for p in build["phases"] for c in p.get("contexts", ())]
    assert "The background process of the sandbox ended during the build." in messages
    assert builds.client("codebuild").list_builds()["ids"][0] == id


def test_killed_process_leaves_no_process_and_no_running_build(tmp_path: Path) -> None:
    """Nothing of a build survives kill -9; the next start reports the build as failed."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    assert running("8765")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(SECONDS)
    assert gone("8765")
    runner = LocalBuildRunner(tmp_path / "builds", surroundings(tmp_path, Account(tmp_path)))
    record = runner.build(id)
    assert record is not None
    assert (record["buildStatus"], record["currentPhase"]) == ("FAILED", "COMPLETED")


def test_overhead_of_a_build_is_below_one_second(builds: Builds) -> None:
    name = builds.project("version: 0.2\nphases: {build: {commands: ['true']}}")
    builds.wait(builds.submit(name))
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        builds.wait(builds.submit(name))
        seconds.append(time.monotonic() - begin)
    assert min(seconds) < 1.0


def test_builds_stopped_at_any_moment_end(builds: Builds) -> None:
    name = builds.project(SLEEP % "7004")
    ids = [builds.submit(name) for _ in range(12)]
    for number, id in enumerate(ids):
        time.sleep(0.02 * number)
        builds.client("codebuild").stop_build(id=id)
    assert {builds.wait(id)["buildStatus"] for id in ids} == {"STOPPED"}
    assert gone("7004")
