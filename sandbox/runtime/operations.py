"""One operation on one stack: prepares the run and executes it with either engine."""

from __future__ import annotations

import errno
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sandbox.contracts import recorded_resources
from sandbox.engine import (
    Deviations,
    Diagnostic,
    Display,
    EngineError,
    PlainDisplay,
    Request,
    Result,
)
from sandbox.engine.request import Kind
from sandbox.engine.state.backend import Backend
from sandbox.runtime import pulumi_cli
from sandbox.runtime.background import inventory
from sandbox.runtime.selection import remaining_targets, with_their_needs
from sandbox.runtime.session import Session
from sandbox.runtime.stack_records import LostContentsError, StackRecords
from sandbox.runtime.timeline import RecordingDisplay, TimelineRecorder

# The sandbox resolves pending operations itself, by reading their resources.
_DEVIATIONS = Deviations(
    refuse_protected=True,
    keep_secrets=True,
    forget_creations=True,
    fail_interrupted_deletions=True,
)

_FREE_BYTES = 64 << 20  # several writes of a large state and its history

EngineChoice = Literal["auto", "embedded", "pulumi"]


class NoEngineError(Exception):
    """The requested engine is not installed; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of an operation.

    targets, excluded: URNs; `*` and `**` match. parallel: maximum of concurrent operations.
    message: stored in the history. refresh: read the actual resources first; a preview does it in
    a copy of the state.
    """

    targets: Sequence[str] = ()
    target_dependents: bool = False
    excluded: Sequence[str] = ()
    expect_no_changes: bool = False
    parallel: int = 32
    message: str = ""
    refresh: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the operation is on the whole stack."""
        return not self.targets and not self.excluded


def choose_engine(choice: EngineChoice) -> pulumi_cli.PulumiCli | None:
    """Return the Pulumi CLI to use, or None for the embedded engine.

    `auto` uses the CLI only in a version that the conformance tests cover. Raises NoEngineError.
    """
    if choice == "embedded":
        return None
    cli = pulumi_cli.find()
    if choice == "pulumi" and cli is None:
        raise NoEngineError(
            "--engine pulumi needs `pulumi` and `pulumi-language-python` on PATH, or the CLI that "
            "`make pulumi` builds. Run `make pulumi`, or use --engine embedded."
        )
    return cli if cli and (choice == "pulumi" or cli.covered) else None


def engine_name(cli: pulumi_cli.PulumiCli | None) -> str:
    """Return the engine's name in results."""
    return f"pulumi {cli.version}" if cli else "embedded"


def operate(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Callable[[], Display],
    options: Options | None = None,
) -> Result:
    """Run one operation with the CLI, or with the embedded engine when `cli` is None.

    A destroy of a whole stack is refused while it holds protected resources: either engine would
    delete others before it reaches them. `display` makes a display for each part of the operation.
    Raises LostContentsError if the stack's state or the account is lost, and EngineError if the
    operation cannot start.
    """
    options = options or Options()
    whole = options.is_whole
    records = StackRecords(session.home, session.project_name, session.stack)
    if kind == "refresh":
        records.check_exists()
    else:
        records.check()
    if kind in ("up", "preview"):
        if records.read().unread:
            options = replace(options, refresh=True)
        else:
            _refuse_empty_account(session)
    if kind == "preview":
        return _perform(session, kind, cli, display, options)
    _refuse_full_disk(session.home.path)
    records.begin()
    try:
        result = _perform(session, kind, cli, display, options)
    finally:
        records.forget_unstarted()
    read = kind == "refresh" and whole and result.result == "succeeded"
    if Backend(session.state).exists(session.project_name, session.stack):
        records.end(read=read)
    return result


def _refuse_full_disk(directory: Path) -> None:
    """Raise OSError if a write of the state may fail; the CLI leaves an incomplete file then."""
    if shutil.disk_usage(directory).free < _FREE_BYTES:
        reason = f"Less than {_FREE_BYTES >> 20} MiB is free"
        raise OSError(errno.ENOSPC, reason, str(directory))


def _refuse_empty_account(session: Session) -> None:
    """Raise LostContentsError if the state has resources of an account that is empty.

    A killed destroy may have deleted those with an unfinished operation; they are read first.
    """
    interrupted = session.interrupted()
    count = sum(
        item["type"].startswith("aws:")
        and item["custom"]
        and item["urn"] not in interrupted
        and recorded_resources.MARK not in item.get("inputs", {})
        for item in session.resources()
    )
    if not count:
        return
    contents = inventory(session.running)
    if contents["items"] or contents["pending"]:
        return
    raise LostContentsError(
        f"the account is empty, but the state of stack {session.stack} has {count} resources in "
        f"it. Restore {session.home.account} from a copy, or let "
        f"`python -m sandbox refresh {session.stack}` remove them from the state."
    )


def _perform(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Callable[[], Display],
    options: Options,
) -> Result:
    whole = options.is_whole
    if kind == "destroy" and whole and (protected := session.protected_resources()):
        result = Result("failed", session.stack, kind, {}, 0, engine=engine_name(cli))
        result.diagnostics.append(Diagnostic("error", "", _protected(session, protected)))
        display().message(result.diagnostics[0])
        return result
    if options.refresh and kind in ("up", "preview"):
        return _refreshed(session, kind, cli, display, options)
    # The CLI does not delete the recorded resources of interrupted creations; the engine does.
    unresolved = any(cli or operation != "creating" for operation in session.interrupted().values())
    if unresolved and (cli or kind != "destroy" or not whole):
        if kind == "preview":
            if _is_locked(session):  # another command performs these operations now
                return _operate(session, kind, cli, display, options)
            with _copied(session) as copied:
                return _resolved(copied, kind, cli, display, options)
        return _resolved(session, kind, cli, display, options)
    return _operate(session, kind, cli, display, options)


def _is_locked(session: Session) -> bool:
    try:
        Backend(session.state).refuse_if_locked(session.project_name, session.stack)
    except EngineError:
        return True
    return False


def _resolved(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Callable[[], Display],
    options: Options,
) -> Result:
    """Read the resources that a killed run left in an unknown state, then run the operation."""
    nowhere = PlainDisplay(io.StringIO())
    resolved = _run(session, "refresh", None, nowhere, Options(), only_interrupted=True)
    shown = display()
    failed = resolved.result == "failed"
    if failed:
        text = (
            f"nothing was changed: stack {session.stack} has operations of a killed run whose "
            "resources cannot be read. Remove the cause of the errors above, then run this again."
        )
        resolved.diagnostics.append(Diagnostic("error", "", text))
    for diagnostic in resolved.diagnostics:
        shown.message(diagnostic)
    if failed:
        result = Result("failed", session.stack, kind, {}, resolved.seconds)
        result.engine = engine_name(cli)
    else:
        result = _operate(session, kind, cli, display, options)
    result.diagnostics[:0] = resolved.diagnostics
    return result


def _operate(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Callable[[], Display],
    options: Options,
) -> Result:
    if options.excluded:
        options = replace(options, targets=_targets(session, kind, cli, options), excluded=())
    result = _run(session, kind, cli, display(), options)
    if kind != "preview" and not session.interrupted():
        session.home.clear_created(session.stack)
    if options.message and kind != "preview":
        _record_message(session, options.message)
    return result


def _refreshed(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Callable[[], Display],
    options: Options,
) -> Result:
    """Refresh, then run the operation; a preview does both in a copy of the state."""
    following = replace(options, refresh=False)
    reading = replace(following, expect_no_changes=False, message="")
    backend = Backend(session.state)
    if not backend.exists(session.project_name, session.stack):
        return _perform(session, kind, cli, display, following)
    if kind == "up":
        refreshed = operate(session, "refresh", cli, display, reading)
        if refreshed.exit_code != 0:
            return refreshed
        return _perform(session, kind, cli, display, following)
    with _copied(session) as copied:
        refreshed = _run(copied, "refresh", cli, display(), reading)
        if refreshed.exit_code != 0:
            return refreshed
        return _perform(copied, kind, cli, display, following)


@contextmanager
def _copied(session: Session) -> Iterator[Session]:
    """Yield the session with a temporary copy of the state."""
    with tempfile.TemporaryDirectory(prefix="state-", dir=session.home.path) as folder:
        copy = Path(folder) / "state"
        shutil.copytree(session.state, copy)
        yield replace(session, state=copy)


def _targets(
    session: Session, kind: Kind, cli: pulumi_cli.PulumiCli | None, options: Options
) -> Sequence[str]:
    """Return the targets that remain without the excluded resources."""
    resources = session.resources()
    urns = list(options.targets) or [item["urn"] for item in resources]
    excluded = list(options.excluded)
    if kind == "destroy":
        excluded += with_their_needs(resources, excluded)
    elif kind in ("up", "preview") and not options.targets:
        # The program has resources that the state lacks.
        planned = _run(session, "preview", cli, PlainDisplay(io.StringIO()), Options())
        urns += [step.urn for step in planned.steps]
    return remaining_targets(urns, excluded)


def _record_message(session: Session, message: str) -> None:
    """Add the message to the newest entry of the stack's history."""
    folder = Backend(session.state).directory / "history" / session.project_name / session.stack
    newest = max(folder.glob("*.history.json"), default=None)
    if newest is not None:
        entry = json.loads(newest.read_text()) | {"message": message}
        newest.write_text(json.dumps(entry, separators=(",", ":")))


def _run(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli | None,
    display: Display,
    options: Options,
    *,
    only_interrupted: bool = False,
) -> Result:
    recorder = None
    if kind != "preview" and session.state == session.home.state:  # not a preview's refresh
        recorder = TimelineRecorder(
            session.home, session.stack, kind, engine_name(cli), session.resources
        )
    if cli is not None:
        return _run_cli(session, kind, cli, options, recorder)
    from sandbox.engine.operation import run  # noqa: PLC0415 - needs gRPC, which the CLI does not

    return run(
        Request(
            kind=kind,
            directory=session.project,
            stack=session.stack,
            backend=session.state,
            passphrase=session.home.passphrase(),
            config_file=session.file.path,
            providers=session.running.providers,
            targets=options.targets,
            target_dependents=options.target_dependents,
            expect_no_changes=options.expect_no_changes,
            parallel=options.parallel,
            environment=session.environment,
            created=session.home.created_resources(session.stack)
            if session.state == session.home.state
            else (),  # a preview deletes nothing
            deviations=_DEVIATIONS,
            only_interrupted=only_interrupted,
        ),
        RecordingDisplay(display, recorder) if recorder else display,
    )


def _protected(session: Session, protected: Sequence[str]) -> str:
    stack, project = session.stack, session.project_name
    return (
        f"nothing was deleted: stack {stack} has {len(protected)} protected resources. "
        f"To remove the protection: `python -m sandbox up {stack} -c lifecycle=ephemeral`, then "
        f"destroy. On AWS: `pulumi config set {project}:lifecycle ephemeral --stack {stack}`, "
        "`pulumi up`, then `pulumi destroy`."
    )


def _run_cli(
    session: Session,
    kind: Kind,
    cli: pulumi_cli.PulumiCli,
    options: Options,
    recorder: TimelineRecorder | None,
) -> Result:
    backend = Backend(session.state)
    if kind != "preview":
        backend.refuse_if_locked(session.project_name, session.stack)
    if kind in ("preview", "up") and not backend.exists(session.project_name, session.stack):
        backend.write(session.project_name, session.stack, "", [])
    if recorder:
        recorder.begin()
    ran = pulumi_cli.run(
        cli,
        kind,
        home=session.home,
        project=session.project,
        stack=session.stack,
        stack_file=session.file.path,
        environment=session.environment,
        targets=options.targets,
        target_dependents=options.target_dependents,
        expect_no_changes=options.expect_no_changes,
        parallel=options.parallel,
    )
    result = Result(
        "failed" if ran.exit_code not in (0, pulumi_cli.UNEXPECTED_CHANGES) else "succeeded",
        session.stack,
        kind,
        ran.changes,
        ran.seconds,
        ran.steps,
        ran.diagnostics,
        unexpected_changes=ran.exit_code == pulumi_cli.UNEXPECTED_CHANGES,
        engine=engine_name(cli),
    )
    if recorder:
        for step in ran.steps:
            recorder.step_finished(step)
        recorder.end(result.result)
    return result
