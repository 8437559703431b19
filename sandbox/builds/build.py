"""Runs one build: its phases from PROVISIONING to FINALIZING."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.builds import buildspec as buildspecs
from sandbox.builds import host_names, isolation, sources, variables
from sandbox.builds.artifacts import ArtifactUpload
from sandbox.builds.aws_session import AwsSession
from sandbox.builds.buildspec import PHASES, Buildspec, Phase
from sandbox.builds.cache import BuildCache
from sandbox.builds.errors import PhaseError, StoppedError
from sandbox.builds.log import BuildLog, CloudWatchLog, Event
from sandbox.builds.network_interface import NetworkInterface
from sandbox.builds.record import BuildRecord
from sandbox.builds.reports import ReportUpload
from sandbox.builds.shell import Shell
from sandbox.builds.sources import Sources
from sandbox.builds.tools import Toolbox, select_runtimes
from sandbox.contracts.build_record import log_location
from sandbox.contracts.build_runner import BuildOrder
from sandbox.contracts.service_event import Emit

_LOG = logging.getLogger(__name__)
_KIND = "process"
# A failure of these phases ends the build; after BUILD, POST_BUILD runs in any case.
# Source: CodeBuild User Guide, "Build phase transitions".
_ENDING = ("install", "pre_build")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all builds share. `visible` are directories that every build must reach."""

    session: Callable[[str], AwsSession]
    """Returns the session of the account's own key in a region."""
    tools: Toolbox
    visible: Sequence[Path] = ()
    host_names: Callable[[], Mapping[str, str]] = dict
    """Returns the loopback addresses of the databases' host names."""
    load_balancers: Callable[[], Mapping[str, int]] = dict
    """Returns the local port of each listener, "HOST:PORT", of a load balancer."""
    authority: Callable[[], str] = str
    """Returns the certificate in PEM that issued those of the load balancers; "" for none."""
    emit: Emit = lambda _event: None
    repository: sources.GitRepository = lambda _location: None
    permits: sources.Permits = lambda _key, _region, _action, _resource: None
    cache: Path
    """Directory of the local caches, one for each project."""
    package_cache: Path
    """Directory of pip's and uv's downloads, which builds of all projects share."""


@dataclass(kw_only=True)
class Build:
    """One build in `directory`, which is removed at its end.

    `session` and `send` replace the service role and the CloudWatch log of the project.
    """

    order: BuildOrder
    record: BuildRecord
    directory: Path
    surroundings: Surroundings
    session: AwsSession | None = None
    send: Callable[[Sequence[Event]], None] | None = None
    _shell: Shell | None = None
    _cache: BuildCache | None = None
    _interface: NetworkInterface | None = None
    _log: BuildLog | None = None
    _stopped: StoppedError | None = None
    _failure: PhaseError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> str:
        """Run the build and return its status."""
        timer = threading.Timer(
            60 * self.order.project["timeoutInMinutes"],
            lambda: self.stop(
                StoppedError("TIMED_OUT", "Build has timed out. "),
            ),
        )
        timer.daemon = True
        timer.start()
        try:
            self._run()
        except PhaseError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a build must end
            _LOG.exception("build %s", self.order.id)
            self._fail(PhaseError("INTERNAL_ERROR", f"{type(error).__name__}: {error}"))
        finally:
            timer.cancel()
            self._end()
        # A stop also breaks what runs at that moment, such as the start of the shell.
        failure = self._stopped if self._failure is not None and self._stopped else self._failure
        status = failure.status if failure is not None else "SUCCEEDED"
        self.record.complete(status)
        # After the end is reported: a build's packages are tens of thousands of files.
        shutil.rmtree(self.directory, ignore_errors=True)
        return status

    def stop(self, error: StoppedError) -> None:
        """End the build's processes; the current phase ends with the error."""
        with self._lock:
            self._stopped = self._stopped or error
            shell = self._shell
        if shell is not None:
            shell.stop(error)

    def _run(self) -> None:
        with self._phase("PROVISIONING"):
            session, log = self._provision()
        with self._phase("DOWNLOAD_SOURCE"):
            downloaded = self._download(session)
            buildspec = self._buildspec(downloaded)
            shell = self._open_shell(session, downloaded, buildspec)
        finished = self._run_phases(shell, buildspec)
        self.record.update(exportedEnvironmentVariables=self._exported(shell, buildspec))
        if finished:
            with self._phase("UPLOAD_ARTIFACTS"):
                upload = ArtifactUpload(
                    self.order,
                    downloaded.primary,
                    session,
                    note=log.note,
                    expand=shell.expand,
                )
                reports = ReportUpload(
                    order=self.order, source=downloaded.primary, session=session, note=log.note
                )
                self.record.update(reportArns=reports.upload(buildspec.reports))
                self.record.update(**upload.upload(buildspec.artifacts))
        with self._phase("FINALIZING"):
            if self._cache is not None:
                self._cache.save()
            log.flush()

    # Phases of the service

    def _provision(self) -> tuple[AwsSession, BuildLog]:
        order = self.order
        session = self.session
        if session is None:
            own = self.surroundings.session(order.region)
            name = f"AWSCodeBuild-{order.id.partition(':')[2]}"
            if order.role_chain:
                pipeline = order.initiator.removeprefix("codepipeline/")
                session = own.assume_in_pipeline(order.role_chain, name, pipeline)
            else:
                session = own.assume(order.project["serviceRole"], name, order.project["arn"])
        log = self._log = BuildLog(self.send or self._cloudwatch(session))
        own_tmp = bool(isolation.namespaces())
        private = "a private /tmp" if own_tmp else "the machine's /tmp"
        log.note(
            f"Running on the sandbox: environment {_KIND}, processes of this machine with {private}"
        )
        log.flush()
        if order.project.get("vpcConfig") and self.session is None:
            self._interface = NetworkInterface(session, order.project["vpcConfig"])
            self.record.update(networkInterface=self._interface.create())
        return session, log

    def _cloudwatch(self, session: AwsSession) -> Callable[[Sequence[Event]], None]:
        location = log_location(self.order)
        if "groupName" not in location:
            return lambda _events: None
        group, stream = location["groupName"], location["streamName"]
        return CloudWatchLog(session.client("logs"), group, stream, self.order.arn).send

    def _download(self, session: AwsSession) -> Sources:
        sources.check_connections(self.order, session, self.surroundings.permits)
        downloaded = sources.download(
            self.order, self.directory / "output", session, self.surroundings.repository
        )
        if downloaded.resolved_version:
            self.record.update(resolvedSourceVersion=downloaded.resolved_version)
        return downloaded

    def _buildspec(self, downloaded: Sources) -> Buildspec:
        text, path = buildspecs.text_of(self.order.project, downloaded.primary)
        if path is not None:
            self._note(f"YAML location is {path}")
        buildspec = buildspecs.parse(text)
        self._note(f"Phases found in YAML: {len(buildspec.phases)}")
        logs = self.order.project.get("logsConfig") or {}
        if (logs.get("s3Logs") or {}).get("status") == "ENABLED":
            self._note("Logs in S3 are not emulated; this log is in CloudWatch Logs only")
        for name, phase in buildspec.phases.items():
            self._note(f" {name.upper()}: {len(phase.commands)} commands")
        return buildspec

    def _open_shell(self, session: AwsSession, downloaded: Sources, buildspec: Buildspec) -> Shell:
        assert self._log is not None  # noqa: S101 - created by PROVISIONING
        tmp, runtimes = self.directory / "tmp", self.directory / "runtimes"
        tmp.mkdir()
        tmp.chmod(0o1777)
        for note in select_runtimes(runtimes, buildspec.phase("install").runtime_versions):
            self._note(note)
        user = variables.UserVariables(session, self._log.mask)
        environment = {
            **variables.machine_variables(),
            **variables.package_caches(self.surroundings.package_cache),
            **variables.private_directories(self.directory, own_tmp=bool(isolation.namespaces())),
            **variables.account_variables(session),
            **variables.build_variables(self.order, downloaded, self.record.started),
            **user.resolve(buildspec, self.order.project["environment"]),
            "PATH": self.surroundings.tools.search_path(runtimes),
        }
        keys = session.credentials
        if "AWS_SESSION_TOKEN" in keys:  # the account's own key is no secret
            self._log.mask([keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"]])
        visible = [self.directory, *self.surroundings.visible]
        run = self._run_directory()
        host_name = f"build-{self.order.id.rpartition(':')[2]}"[:63]
        hosts = host_names.write(
            self.directory,
            {**self.surroundings.host_names(), host_name: "127.0.0.1"},
            self.surroundings.load_balancers(),
            self.surroundings.authority(),
        )
        shell = Shell(
            self.directory / "shell",
            program=buildspec.env.shell,
            persist=buildspec.version == "0.2",
            isolate=lambda command: isolation.isolate(
                command, tmp, visible, host_name=host_name, hosts=hosts, run=run
            ),
            output=self._log.line,
        )
        shell.set_state(environment, downloaded.primary)
        self._cache = self._restore_cache(session, shell, downloaded, buildspec)
        with self._lock:
            self._shell = shell
            stopped = self._stopped
        if stopped is not None:
            shell.stop(stopped)
        return shell

    def _run_directory(self) -> Path | None:
        """Return the private /run of a privileged build that can start a Docker engine."""
        if not self.order.project["environment"].get("privilegedMode"):
            return None
        if isolation.can_run_docker():
            return self.directory / "run"
        self._note("Privileged mode: no Docker engine can be started; one that runs is used")
        return None

    def _restore_cache(
        self, session: AwsSession, shell: Shell, downloaded: Sources, buildspec: Buildspec
    ) -> BuildCache:
        cache = BuildCache(
            config=self.order.project.get("cache") or {},
            paths=buildspec.cache.paths,
            key=shell.expand(buildspec.cache.key),
            directory=self.surroundings.cache / self.order.region / self.order.project["name"],
            source=downloaded.primary,
            home=self.directory / "home",
            session=session,
            note=self._note,
        )
        cache.restore()
        return cache

    # Phases of the buildspec

    def _run_phases(self, shell: Shell, buildspec: Buildspec) -> bool:
        """Run them; return whether the build reaches UPLOAD_ARTIFACTS."""
        for name in PHASES:
            phase = buildspec.phase(name)
            try:
                with self._phase(name.upper(), abort=phase.on_failure == "ABORT"):
                    user = phase.run_as or buildspec.run_as
                    _check_user(user)
                    self._run_with_retries(shell, phase, user)
            except StoppedError:
                raise
            except PhaseError as error:
                shell.set_variable("CODEBUILD_BUILD_SUCCEEDING", "0")
                self._fail(error)
                if phase.on_failure == "ABORT":
                    return False
                if phase.on_failure != "CONTINUE" and name in _ENDING:
                    return False
        return True

    def _run_with_retries(self, shell: Shell, phase: Phase, user: str) -> None:
        count, pattern = buildspecs.retries(phase.on_failure)
        while True:
            lines: list[str] = []
            try:
                self._run_commands(shell, phase, lines, user)
            except StoppedError:
                raise
            except PhaseError:
                if count == 0 or (pattern and not pattern.search("\n".join(lines))):
                    raise
                count -= 1
                self._note(f"Retrying the phase; {count} retries left")
                continue
            return

    def _run_commands(self, shell: Shell, phase: Phase, lines: list[str], user: str) -> None:
        """Run commands up to the first that fails, then those of `finally`."""
        failure: PhaseError | None = None
        for group in (phase.commands, phase.finally_):
            for command in group:
                self._note(f"Running command {command}")
                code = shell.run(command, lambda line: self._output(line, lines), user)
                if code:
                    self._note(f"Command did not exit successfully {command} exit status {code}")
                    failure = failure or PhaseError(
                        "COMMAND_EXECUTION_ERROR",
                        f"Error while executing command: {command}. Reason: exit status {code}",
                    )
                    break
        if failure is not None:
            raise failure

    def _output(self, line: str, lines: list[str]) -> None:
        lines.append(line)
        if self._log is not None:
            self._log.line(line)

    def _exported(self, shell: Shell, buildspec: Buildspec) -> list[dict[str, str]]:
        names = buildspec.env.exported_variables
        values = shell.variables() if names else {}
        return [{"name": name, "value": values.get(name, "")} for name in names]

    # Record and log

    def _phase(self, name: str, *, abort: bool = False) -> _PhaseScope:
        if self._stopped is not None:
            raise self._stopped
        return _PhaseScope(self, name, abort=abort)

    def _note(self, text: str) -> None:
        if self._log is not None:
            self._log.note(text)

    def _fail(self, error: PhaseError) -> None:
        """Record the first failure; a stop replaces it."""
        if self._failure is None or isinstance(error, StoppedError):
            self._failure = error

    def _end(self) -> None:
        if self._shell is not None:
            self._shell.close()
        if self._interface is not None:
            self._interface.delete()
        if self._log is not None:
            self._log.close()


class _PhaseScope:
    """Records begin and end of a phase, and logs its end as AWS does."""

    def __init__(self, build: Build, name: str, *, abort: bool) -> None:
        self._build, self._name, self._abort = build, name, abort

    def __enter__(self) -> None:
        self._build.record.begin_phase(self._name)
        if self._name.lower() in PHASES:
            self._build._note(f"Entering phase {self._name}")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        build = self._build
        failure = error if isinstance(error, PhaseError) else None
        if error is not None and failure is None:
            failure = PhaseError("INTERNAL_ERROR", f"{type(error).__name__}: {error}")
        if build._stopped is not None and failure is not None:
            failure = build._stopped
        build.record.end_phase(failure)
        state = failure.status if failure is not None else "SUCCEEDED"
        if failure is not None and self._abort and state == "FAILED":
            state = "FAILED_WITH_ABORT"
        code, message = (failure.code, failure.message) if failure is not None else ("", "")
        build._note(f"Phase complete: {self._name} State: {state}")
        build._note(f"Phase context status code: {code} Message: {message}")


def _check_user(user: str) -> None:
    """Refuse a user that this machine lacks, and other users where the sandbox is not root."""
    if user in ("", "root"):
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise PhaseError(
            "CLIENT_ERROR", f"run-as: this machine has no user {user}; create it or remove run-as"
        ) from None
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise PhaseError(
            "CLIENT_ERROR",
            f"run-as: only root can run commands as {user}, with setpriv of util-linux; start the "
            "sandbox as root or remove run-as",
        )
