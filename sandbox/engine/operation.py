"""Runs one operation, from its request to its result."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from sandbox.engine.deployment import Deployment, Recorder
from sandbox.engine.display.plain import is_hidden
from sandbox.engine.errors import EngineError, UsageError
from sandbox.engine.language_host.configuration import Configuration, resolve_configuration
from sandbox.engine.language_host.program import Program
from sandbox.engine.language_host.project import (
    Project,
    StackFile,
    interpreter,
    load_project,
    load_stack_file,
)
from sandbox.engine.monitor.resource_monitor import Monitor
from sandbox.engine.request import CHANGES, Display, Request, Result
from sandbox.engine.state.backend import Backend, open_backend
from sandbox.engine.state.property_values import masked
from sandbox.engine.state.resource import STACK_TYPE, Resource
from sandbox.engine.state.secrets_providers import Secrets, secrets_of_file, secrets_of_state
from sandbox.engine.state.snapshot_manager import SnapshotManager
from sandbox.engine.steps.delete import (
    delete_resources,
    pending_deletions,
    refuse_hooks_without_program,
    refuse_protected,
    within_targets,
)
from sandbox.engine.steps.interrupted import report_interrupted, resolve_interrupted
from sandbox.engine.steps.orphan_cleanup import delete_orphans
from sandbox.engine.steps.refresh import refresh

_KINDS = {"up": "update", "preview": "preview", "refresh": "refresh", "destroy": "destroy"}


def run(request: Request, display: Display) -> Result:
    """Run one operation.

    Raises UsageError for an invalid request, before any change, and EngineError for an unusable
    state. A failing resource or program does not raise: the result has a diagnostic for each
    failure.
    """
    started, began = time.monotonic(), int(time.time())
    project = load_project(request.directory)
    file = load_stack_file(request.config_file or project.stack_file(request.stack), project.name)
    backend = open_backend(request.backend)
    _require_stack(request, project, backend, file)
    if request.needs_program:
        interpreter(project)  # refuses a missing interpreter before any change
    reads_only = request.kind == "preview"
    with (
        nullcontext() if reads_only else backend.lock(project.name, request.stack),
        _started_program(project, request) as program,
    ):
        return _run(program, request, display, project, file, backend, started, began)


def _require_stack(request: Request, project: Project, backend: Backend, file: StackFile) -> None:
    if backend.exists(project.name, request.stack) or (
        request.kind in ("up", "preview") and file.path.exists()
    ):
        return
    stacks = sorted({*backend.stacks(project.name), *project.stack_files()})
    if request.kind in ("up", "preview"):
        raise UsageError(
            f"There is no stack {request.stack!r} of project {project.name!r}, and no "
            f"{file.path.name} to create it from. Stacks: {', '.join(stacks) or 'none'}."
        )
    raise UsageError(
        f"Stack {request.stack!r} of project {project.name!r} has never been up, so there is "
        f"nothing to {request.kind}. Stacks: {', '.join(stacks) or 'none'}."
    )


@contextmanager
def _started_program(project: Project, request: Request) -> Iterator[Program | None]:
    """Start the interpreter, which imports the SDK while the state is opened."""
    if not request.needs_program:
        yield None
        return
    program = Program(project, request)
    try:
        yield program
    finally:
        program.stop()
        program.wait()


def _run(
    program: Program | None,
    request: Request,
    display: Display,
    project: Project,
    file: StackFile,
    backend: Backend,
    started: float,
    began: int,
) -> Result:
    def of_file() -> Secrets:
        return secrets_of_file(
            file.secrets_provider, file.salt, file.encrypted_key, request.passphrase
        )

    def open_secrets(state: Mapping[str, Any]) -> Secrets:
        # A state is decrypted with its own salt or data key.
        return secrets_of_state(state, request.passphrase) or of_file()

    journal = SnapshotManager(
        backend, project.name, request.stack, open_secrets, read_only=request.kind == "preview"
    )
    if request.needs_program:
        same_key = (file.encrypted_key or file.salt) in (None, journal.secrets.state)
        secrets = journal.secrets if same_key else of_file()
        configuration = resolve_configuration(
            project, file, secrets, request.configuration, request.stack
        )
    else:
        configuration = Configuration({}, frozenset())  # these operations use the state only
    recorder = Recorder(display)
    deployment = Deployment(request, project, configuration, journal, recorder)
    display.started(request)
    for key in file.unknown:
        recorder.message(
            "warning", "", f"{file.path} has an unknown key `{key}`. Should it be under `config`?"
        )
    if request.kind != "preview":
        backend.backup(project.name, request.stack)
        journal.write()
    try:
        _operate(deployment, program)
    finally:
        deployment.providers.close()
        journal.write()
        journal.write()  # so that `.bak` has the last step too
    result = _result(deployment, time.monotonic() - started)
    if request.kind != "preview":
        backend.record(project.name, request.stack, _history(deployment, result, began))
    display.finished(result)
    return result


def _operate(deployment: Deployment, program: Program | None) -> None:
    """Serve program and providers during the operation; an interrupt lets running steps finish."""
    recorder, kind = deployment.recorder, deployment.request.kind
    monitor = Monitor(deployment)
    try:
        delete_orphans(deployment)
        if deployment.request.only_interrupted:
            resolve_interrupted(deployment)
            return
        report_interrupted(deployment)
        if kind == "destroy":
            deployment.check_targets()
            _destroy(deployment, monitor, program)
        elif kind == "refresh":
            deployment.check_targets()
            refresh(deployment)
        elif program is not None:
            _update(deployment, monitor, program)
    except UsageError:
        raise
    except EngineError as error:
        recorder.message("error", "", str(error))
    except KeyboardInterrupt:
        deployment.stopping.set()
        deployment.providers.cancel()
        recorder.message(
            "info", "", "Waiting for running steps to finish. Interrupt again to abandon them."
        )
        monitor.wait_idle()
        passes = (
            deployment.deleting and not deployment.request.deviations.fail_interrupted_deletions
        )
        recorder.message(
            "warning" if passes else "error",
            "",
            f"Interrupted. Running steps have finished; the next `{kind}` continues.",
        )
    finally:
        monitor.stop()


def _update(deployment: Deployment, monitor: Monitor, program: Program) -> None:
    with _running(deployment, monitor, program):
        if deployment.recorder.failed:
            _preserve_outputs(deployment)
            _report_pending_deletions(deployment)
            return
        deployment.recorder.release()
        deployment.check_targets()
        resources = pending_deletions(deployment)
        _delete(deployment, resources, within_targets(deployment, resources))


@contextmanager
def _running(deployment: Deployment, monitor: Monitor, program: Program) -> Iterator[None]:
    """Run the program; deletions run before it exits, because it serves its resource hooks."""
    program.run(deployment, monitor.address)
    try:
        if not program.wait_until_registered(monitor.registered_all):
            monitor.wait_idle()
            _explain_end(deployment, program)
        monitor.wait_idle()
        yield
        monitor.release()
        _explain_end(deployment, program)
    except KeyboardInterrupt:
        deployment.stopping.set()
        program.stop()
        raise
    finally:
        monitor.release()
        program.wait()


def _explain_end(deployment: Deployment, program: Program) -> None:
    code = program.wait()
    if code == 0:
        return
    deployment.recorder.failed = True
    if not any(item.severity == "error" for item in deployment.recorder.diagnostics):
        message = "\n".join([f"The program exited with code {code}.", *program.stderr_lines[-20:]])
        deployment.recorder.message("error", "", message)


def _destroy(deployment: Deployment, monitor: Monitor, program: Program | None) -> None:
    if program is None:
        resources = deployment.journal.resources()
        deletions = within_targets(deployment, resources)
        refuse_hooks_without_program(deployment, deletions)
        _delete(deployment, resources, deletions)
        return
    with _running(deployment, monitor, program):
        if not deployment.recorder.failed:
            resources = deployment.journal.resources()
            _delete(deployment, resources, within_targets(deployment, resources))


def _delete(deployment: Deployment, resources: list[Resource], deletions: list[Resource]) -> None:
    if deployment.request.deviations.refuse_protected:
        refuse_protected(deployment, deletions)
    deployment.deleting = True
    chosen = set(map(id, deletions))
    for resource in resources:
        if id(resource) not in chosen and not resource.delete:
            deployment.same(resource)  # excluded by the targets
    delete_resources(deployment, deletions)


def _preserve_outputs(deployment: Deployment) -> None:
    """Preserve outputs that a failed program did not export; the SDK sets outputs even then."""
    old, new = (
        deployment.olds.get(deployment.stack_urn),
        deployment.registered.get(deployment.stack_urn),
    )
    if (
        old is not None
        and new is not None
        and not deployment.preview
        and old.outputs.keys() - new.outputs.keys()
    ):
        new.outputs = {**old.outputs, **new.outputs}
        deployment.journal.changed(new)


def _report_pending_deletions(deployment: Deployment) -> None:
    remaining = pending_deletions(deployment)
    if remaining and deployment.recorder.steps and not deployment.preview:
        deployment.recorder.message(
            "info",
            "",
            (
                f"{len(remaining)} resource(s) that the program no longer has were not "
                "deleted, because the program did not complete; the next successful `up` deletes "
                "them."
            ),
        )


def _result(deployment: Deployment, seconds: float) -> Result:
    recorder, request = deployment.recorder, deployment.request
    counted = [step for step in recorder.counted if not is_hidden(step)]
    counts = Counter(step.op for step in counted)
    counts["create"] += counts.pop("import", 0)
    changes: dict[str, int] = {op: counts.get(op, 0) for op in (*CHANGES, "same")}
    stack = deployment.registered.get(deployment.stack_urn)
    if stack is None and request.kind == "refresh":
        stack = next(
            (item for item in deployment.journal.resources() if item.type == STACK_TYPE), None
        )
    result = Result(
        result="failed" if recorder.failed else "succeeded",
        stack=request.stack,
        kind=request.kind,
        changes=changes,
        seconds=seconds,
        steps=[step for step in recorder.steps if not is_hidden(step)],
        diagnostics=recorder.diagnostics,
        outputs=masked(stack.outputs)
        if stack and request.kind != "destroy" and (recorder.steps or not recorder.failed)
        else {},
    )
    result.unexpected_changes = request.expect_no_changes and result.changed > 0
    return result


def _history(deployment: Deployment, result: Result, began: int) -> dict[str, Any]:
    secrets, secret_keys = deployment.journal.secrets, deployment.configuration.secret_keys
    config = {
        key: {"secure": secrets.encrypt(text)} if key in secret_keys else text
        for key, text in deployment.configuration.values.items()
    }
    return {
        "kind": _KINDS[deployment.request.kind],
        "startTime": began,
        "message": "",
        "environment": _git(deployment.project),
        "config": config,
        "version": 0,
        "result": "succeeded" if result.result == "succeeded" else "failed",
        "endTime": int(time.time()),
        "resourceChanges": {op: count for op, count in result.changes.items() if count},
    }


def _git(project: Project) -> dict[str, str]:
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=project.directory,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # the history works without it
        return {}
    return {"git.head": commit.stdout.strip()} if commit.returncode == 0 else {}
