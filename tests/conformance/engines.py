"""Runs one operation with an engine and observes everything that it did."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from pulumi.runtime.proto import language_pb2

from sandbox.engine import export_stack
from sandbox.engine.__main__ import engine
from sandbox.engine.language_host.server import LanguageHost, serve
from tests.conformance.fork_server import fork_server
from tests.conformance.provider import RequestRecorder, normalized
from tests.conformance.scenario import Scenario, Stage
from tests.pulumi import cli_path
from tests.sandbox.engine.integrity import violations
from tests.sandbox.engine.recording_provider import serving
from tests.sandbox.engine.workspace import ROOT, Workspace

COUNTS = ("create", "update", "replace", "delete", "same")
_TIMES = ("created", "modified", "sourcePosition", "stackTrace")


@dataclass
class Observation:
    """What one operation did."""

    code: int
    counts: dict[str, int]
    requests: dict[str, list[Any]]  # by resource, in order
    resources: dict[str, list[Any]]  # by URN
    pending: list[str]
    outputs: Any
    things: dict[str, Any]
    problems: list[str] = field(default_factory=list)  # violations of the state's integrity
    text: str = ""  # for people, not compared


class _Host(LanguageHost):
    """The language host that starts no interpreter for what every run asks."""

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC
        return language_pb2.AboutResponse(executable=sys.executable, version="3")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC
        return language_pb2.GetRequiredPackagesResponse()


@dataclass(frozen=True)
class Laboratory:
    """What all runs of one process share: the fork server and the attached language host."""

    folder: Path
    virtualenv: Path
    language_port: int
    component_port: int


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """Start the shared processes."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        with fork_server(folder) as virtualenv:
            port, stop = serve(_Host(""))
            try:
                with _component_provider() as component_port:
                    yield Laboratory(folder, virtualenv, port, component_port)
            finally:
                stop()


@contextmanager
def _component_provider() -> Iterator[int]:
    """Serve the package `box`."""
    command = [sys.executable, "-m", "tests.sandbox.engine.component_provider"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.stdin.close()
    process.wait(timeout=120)


Engine = Callable[[Laboratory, Workspace, Stage], tuple[int, dict[str, int], str]]


def _signalled(
    laboratory: Laboratory,
    workspace: Workspace,
    recorder: RequestRecorder,
    stage: Stage,
    command: list[str],
) -> tuple[int, dict[str, int], str]:
    """Run an engine that gets a signal during a request; counts are not compared."""
    recorder.held = stage.during
    recorder.reached.clear()
    recorder.released.clear()
    process = subprocess.Popen(
        command,
        env=_environment(laboratory, workspace),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert recorder.reached.wait(120), f"there was no request {stage.during}"
    process.send_signal(stage.signal)
    if stage.signal == signal.SIGKILL:
        process.wait(60)
    else:
        time.sleep(1)  # the engine notices the signal before the request ends
    recorder.held = ""
    recorder.released.set()
    text, _ = process.communicate(timeout=120)
    while recorder.running:
        time.sleep(0.05)
    return process.returncode, {}, text


def embedded(
    laboratory: Laboratory, workspace: Workspace, stage: Stage
) -> tuple[int, dict[str, int], str]:
    """Run the embedded engine in this process."""
    command = [stage.operation, "--cwd", str(workspace.folder), "--stack", "dev", "--json"]
    with CliRunner(env=_environment(laboratory, workspace)).isolation() as (out, err, _):
        try:
            engine([*command, *stage.arguments])
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
        stdout, stderr = out.getvalue().decode(), err.getvalue().decode()
    counts = json.loads(stdout)["changes"]
    return code, {key: counts[key] for key in COUNTS if counts.get(key)}, stderr


def _init(laboratory: Laboratory, workspace: Workspace) -> None:
    """Create the stack; a copy of the first one, because `stack init` takes a second."""
    if workspace.state_file.exists():
        return
    template, stack_file = laboratory.folder / "initialized", workspace.folder / "Pulumi.dev.yaml"
    has_own_salt = "encryptionsalt" in stack_file.read_text()
    if template.exists() and not has_own_salt:
        shutil.copytree(template / "state", workspace.backend, dirs_exist_ok=True)
        with stack_file.open("a") as file:
            file.write((template / "salt").read_text())
        return
    where = ["--cwd", str(workspace.folder), "--stack", "dev", "--non-interactive"]
    create = [cli_path(), "stack", "init", *where]
    environment = _environment(laboratory, workspace)
    subprocess.run(create, env=environment, capture_output=True, check=True)
    if not has_own_salt and workspace.project == "demo":
        shutil.copytree(workspace.backend, template / "state")
        lines = stack_file.read_text().splitlines(keepends=True)
        salt = next(line for line in lines if line.startswith("encryptionsalt"))
        (template / "salt").write_text(f"\n{salt}")


def _command(engine_: Engine, workspace: Workspace, stage: Stage) -> list[str]:
    if engine_ is embedded:
        return workspace.command(stage.operation, *stage.arguments)
    where = ["--cwd", str(workspace.folder), "--stack", "dev", "--non-interactive"]
    command = [cli_path(), stage.operation, *where, *stage.arguments]
    return command + ([] if stage.operation == "preview" else ["--yes", "--skip-preview"])


def cli(
    laboratory: Laboratory, workspace: Workspace, stage: Stage
) -> tuple[int, dict[str, int], str]:
    """Run the Pulumi CLI."""
    environment = _environment(laboratory, workspace)
    _init(laboratory, workspace)
    command = [*_command(cli, workspace, stage), "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, _cli_counts(done.stdout), done.stdout + done.stderr


def _cli_counts(out: str) -> dict[str, int]:
    """Return the CLI's counts; an import is a create; reads and refreshes are not counted."""
    summary: dict[str, int] = {}
    try:
        summary = json.loads(out)["changeSummary"] or {}
    except (ValueError, KeyError):
        for line in out.splitlines():
            if line.startswith("{") and "summaryEvent" in line:
                summary = json.loads(line)["summaryEvent"].get("resourceChanges") or {}
    summary["create"] = summary.get("create", 0) + summary.pop("import", 0)
    return {key: summary[key] for key in COUNTS if summary.get(key)}


def _environment(laboratory: Laboratory, workspace: Workspace) -> dict[str, str]:
    own = {
        "PULUMI_HOME": str(laboratory.folder / "home"),
        "PULUMI_DEBUG_LANGUAGES": f"python:{laboratory.language_port}",
        "GOGC": "off",  # a run of the CLI ends before it needs garbage collection
    }
    return {**workspace.environment, **own}


def play(
    laboratory: Laboratory, scenario: Scenario, *engines: Engine, folder: Path | None = None
) -> list[Observation]:
    """Run the stages on a new stack, with the engines in turn."""
    if folder is None:
        with tempfile.TemporaryDirectory(dir=laboratory.folder) as name:
            return play(laboratory, scenario, *engines, folder=Path(name))
    recorder = RequestRecorder()
    observations = []
    with serving(recorder) as port:
        workspace = Workspace(folder, port)
        workspace.others = f",box:{laboratory.component_port}"
        runtime = f"runtime:\n  name: python\n  options:\n    virtualenv: {laboratory.virtualenv}\n"
        workspace.yaml("Pulumi.yaml", f"name: demo\n{runtime}{scenario.project}")
        workspace.yaml("Pulumi.dev.yaml", scenario.stack or "config: {}\n")
        for number, stage in enumerate(scenario.stages):
            if stage.program is not None:
                workspace.program(stage.program)
            if stage.before is not None:
                stage.before(recorder)
            recorder.requests.clear()
            chosen = engines[number % len(engines)]
            if stage.during:
                if chosen is cli:
                    _init(laboratory, workspace)
                command = _command(chosen, workspace, stage)
                run = _signalled(laboratory, workspace, recorder, stage, command)
                _unlock(laboratory, workspace)
            else:
                run = chosen(laboratory, workspace, stage)
            code, counts, text = run
            observations.append(_observe(workspace, recorder, code, counts, text))
    return observations


def _unlock(laboratory: Laboratory, workspace: Workspace) -> None:
    """Remove the lock of a killed engine, as the CLI's documentation says."""
    command = [cli_path(), "cancel", "--yes", "--stack", "dev", "--cwd", str(workspace.folder)]
    environment = _environment(laboratory, workspace)
    subprocess.run(command, env=environment, capture_output=True, check=False)


def _observe(
    workspace: Workspace, recorder: RequestRecorder, code: int, counts: dict[str, int], text: str
) -> Observation:
    requests: dict[str, list[Any]] = {}
    for name, method, arguments in recorder.requests:
        requests.setdefault(name, []).append((method, arguments))
    for calls in requests.values():
        _sort_deletions(calls)
    things = {key: normalized(item) for key, item in recorder.things.items()}
    if not workspace.state_file.exists():
        return Observation(code, counts, requests, {}, [], {}, things, [], text)
    document = export_stack(workspace.backend, "demo", "dev", "correct horse", show_secrets=True)
    deployment = document["deployment"]
    result = deployment.get("resources") or []
    resources: dict[str, list[Any]] = {}
    for item in result:
        resources.setdefault(item["urn"], []).append(_comparable(item))
    for items in resources.values():
        items.sort(key=lambda item: json.dumps(item, sort_keys=True))
    pending = sorted(
        f"{item['type']} {item['resource']['urn']}"
        for item in deployment.get("pending_operations") or []
    )
    outputs = next(
        (item.get("outputs") for item in result if item["type"] == "pulumi:pulumi:Stack"), None
    )
    outputs = outputs or {}
    problems = violations(result)
    return Observation(code, counts, requests, resources, pending, outputs, things, problems, text)


def _sort_deletions(calls: list[tuple[str, Any]]) -> None:
    """Sort the deletions that end a run: the CLI deletes an URN's replaced resources in parallel."""
    first = len(calls)
    while first and calls[first - 1][0] == "Delete":
        first -= 1
    calls[first:] = sorted(calls[first:], key=lambda call: json.dumps(call, sort_keys=True))


def _comparable(item: dict[str, Any]) -> Any:
    remaining = {key: value for key, value in item.items() if key not in _TIMES}
    remaining["dependencies"] = sorted(remaining.get("dependencies") or [])
    uses = remaining.get("propertyDependencies") or {}
    remaining["propertyDependencies"] = {key: sorted(urns) for key, urns in uses.items() if urns}
    return normalized(
        {key: value for key, value in remaining.items() if value not in ([], {}, "", None)}
    )


def differences(
    one: list[Observation], other: list[Observation], *, loose: bool = False
) -> list[str]:
    """Return the differences of two runs; `loose` compares the exit codes of failed stages only."""
    everything = []
    for number, (left, right) in enumerate(zip(one, other, strict=True)):
        result = [*_different("", "exit code", left.code, right.code)]
        if loose and left.code:
            everything += [f"stage {number}: {text}" for text in result]
            continue
        result += _different("", "counts", left.counts, right.counts)
        for title in ("requests", "resources"):
            ours, theirs = getattr(left, title), getattr(right, title)
            for key in sorted({*ours, *theirs}):
                result += _different(title, key, ours.get(key), theirs.get(key))
        result += _different("", "pending operations", left.pending, right.pending)
        result += _different("", "outputs", left.outputs, right.outputs)
        result += _different("", "things", left.things, right.things)
        result += [f"integrity: {text}" for text in (*left.problems, *right.problems)]
        everything += [f"stage {number}: {text}" for text in result]
    return everything


def compare_one(laboratory: Laboratory, scenario: Scenario) -> list[str]:
    """Return the differences between the engines; an engine that breaks is one."""
    runs = []
    for engine_ in (embedded, cli):
        try:
            runs.append(play(laboratory, scenario, engine_))
        except Exception as error:  # noqa: BLE001 - reported as a difference
            return [f"{getattr(engine_, '__name__', '')}: {type(error).__name__}: {error}"]
    return differences(*runs, loose=scenario.loose)


def _different(title: str, key: str, ours: Any, theirs: Any) -> list[str]:
    if ours == theirs:
        return []
    left, right = (json.dumps(item, sort_keys=True, default=str) for item in (ours, theirs))
    return [f"{title} {key}\n    embedded {left}\n    cli      {right}"]
