"""The state that all parts of one operation share, and its progress reports."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.language_host.configuration import Configuration
from sandbox.engine.language_host.project import Project, interpreter
from sandbox.engine.monitor.callbacks import Callbacks
from sandbox.engine.monitor.resource_hooks import Hooks
from sandbox.engine.plugins.builtin_provider import Stacks
from sandbox.engine.plugins.dynamic_provider import DynamicServer
from sandbox.engine.plugins.provider_registry import Providers
from sandbox.engine.request import Diagnostic, Display, Op, PropertyChange, Request, Step
from sandbox.engine.state.property_values import UNKNOWN_ID
from sandbox.engine.state.resource import STACK_TYPE, Resource, make_urn
from sandbox.engine.state.snapshot_manager import SnapshotManager
from sandbox.engine.state.stacks import referenced_outputs, referenced_resources


class Recorder:
    """Records steps and diagnostics and forwards them to the display, one at a time."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.steps: list[Step] = []
        self.diagnostics: list[Diagnostic] = []
        self.failed = False
        self._held: Step | None = None
        self._lock = threading.Lock()

    def started(self, step: Step) -> None:
        """Report that a step started."""
        step.started = time.time()
        with self._lock:
            self.display.step_started(step)

    def finished(self, step: Step) -> None:
        """Record a step that succeeded or failed."""
        with self._lock:
            self._release()
            self._finished(step)

    def hold(self, step: Step) -> None:
        """Delay the root's step: a program that fails before its first request shows no steps."""
        with self._lock:
            self._held = step

    def release(self) -> None:
        """Record the delayed root step."""
        with self._lock:
            self._release()

    @property
    def counted(self) -> list[Step]:
        """The steps that count, with the delayed one, as in the CLI."""
        delayed = [self._held] if self._held is not None else []
        return [step for step in (*self.steps, *delayed) if not step.error or step.deleted_first]

    def _release(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._finished(held)

    def _finished(self, step: Step) -> None:
        self.steps.append(step)
        self.display.step_finished(step)

    def message(self, severity: str, urn: str, text: str, *, logged: bool = False) -> None:
        """Record a message. An error fails the operation, unless a program or provider logged it
        (`logged`).
        """
        diagnostic = Diagnostic(severity, urn, text.rstrip())
        with self._lock:
            self.failed = self.failed or (severity == "error" and not logged)
            self.diagnostics.append(diagnostic)
            self.display.message(diagnostic)

    def status(self, urn: str, text: str) -> None:
        """Show a resource's current condition, which the result does not keep."""
        with self._lock:
            self.display.message(Diagnostic("info", urn, text.rstrip()))

    def output(self, line: str) -> None:
        """Forward a line that the program printed."""
        with self._lock:
            self.display.output(line)

    def reported(self, text: str) -> bool:
        """Whether an error was reported already; a program repeats the errors of its requests."""
        return any(item.severity == "error" and item.message in text for item in self.diagnostics)


class Deployment:
    """State shared by the parts of an operation; `lock` guards it."""

    def __init__(
        self,
        request: Request,
        project: Project,
        configuration: Configuration,
        journal: SnapshotManager,
        recorder: Recorder,
    ) -> None:
        self.request, self.project, self.configuration = request, project, configuration
        self.journal, self.recorder = journal, recorder
        self.preview = request.kind == "preview"
        self.destroying = (
            request.kind == "destroy"
        )  # a program run by it gets the values of the state
        self.engine_address = ""
        directories = (str(project.directory), str(project.program))
        self.providers = Providers(
            request.providers,
            lambda: self.engine_address,
            directories,
            lambda: _serve_dynamic(project, request),
            Stacks(
                lambda name: referenced_outputs(
                    request.backend, project.name, name, request.passphrase
                ),
                lambda name: referenced_resources(
                    request.backend, project.name, name, request.passphrase
                ),
            ),
        )
        self.callbacks = Callbacks()
        self.hooks = Hooks(self.callbacks, recorder.message, preview=self.preview)
        self.lock = threading.RLock()
        self.olds = {item.urn: item for item in journal.base if not item.delete}
        self.registered: dict[str, Resource] = {}
        self.claimed: set[str] = set()  # URNs whose registration has started
        self.aliases: dict[str, str] = {}  # new URN to the old one, by alias
        self.former_urns: dict[int, str] = {}  # of replaced resources that an alias renamed
        self.failed: set[str] = set()  # failed, or skipped because a dependency failed
        self.incomplete: set[str] = set()  # components with a failed descendant
        self.elided: set[str] = set()  # not created because of the targets
        self.replaced: set[str] = set()
        self.deleted_already: dict[
            str, Resource
        ] = {}  # already deleted because a dependency is replaced
        self.targeted_parents: set[str] = set()
        self._slots = threading.BoundedSemaphore(max(1, request.parallel))
        self._targets = [_target(text) for text in request.targets]
        self.stopping = threading.Event()
        self.deleting = False  # has begun to delete what the program or the destroy removes

    @property
    def stack_urn(self) -> str:
        """The URN of the stack, the root of the resource tree."""
        name = f"{self.project.name}-{self.request.stack}"
        return make_urn(self.request.stack, self.project.name, "", STACK_TYPE, name)

    def targeted(self, urn: str) -> bool:
        """Whether the targets include this resource."""
        return not self._targets or any(target.fullmatch(urn) for target in self._targets)

    def fail(self, urn: str, parent: str) -> None:
        """Record that a resource was not created; its dependents and components are skipped."""
        with self.lock:
            self.failed.add(urn)
            while parent and parent not in self.incomplete:
                self.incomplete.add(parent)
                parent = self.registered[parent].parent if parent in self.registered else ""

    def awaits(self, urns: Iterable[str]) -> bool:
        """Whether any of these resources, or of their descendants, is yet to be created (in a
        preview).
        """
        with self.lock:
            pending, reached = list(urns), set[str]()
            while pending:
                urn = pending.pop()
                resource = self.registered.get(urn)
                if resource is None or urn in reached:
                    continue
                reached.add(urn)
                if resource.custom and resource.id in ("", UNKNOWN_ID):
                    return True
                if not resource.custom:
                    pending += [item.urn for item in self.registered.values() if item.parent == urn]
        return False

    @property
    def has_targets(self) -> bool:
        """Whether the operation is limited to targets."""
        return bool(self._targets)

    @contextmanager
    def step(
        self,
        op: Op,
        resource: Resource,
        changes: Sequence[PropertyChange] = (),
        *,
        slot: bool = True,
    ) -> Iterator[Step]:
        """Run one step under the parallelism limit and report it; an exception fails it."""
        step = Step(op, resource.urn, resource.id, resource.parent, resource.custom, list(changes))
        if not slot:
            yield step
            self._done(step)
            return
        with self.quietly(step):
            self.recorder.started(step)
            yield step

    @contextmanager
    def quietly(self, step: Step) -> Iterator[Step]:
        """Run one step under the parallelism limit and report only its end."""
        with self._slots:
            if self.stopping.is_set():
                raise EngineError("The operation was interrupted before it reached this resource.")
            started = time.monotonic()
            try:
                yield step
            except Exception as error:
                step.error = str(error)
                raise
            finally:
                step.seconds = time.monotonic() - started
                self.recorder.finished(step)

    def same(self, resource: Resource) -> None:
        """Report an unchanged resource."""
        self._done(Step("same", resource.urn, resource.id, resource.parent, resource.custom))

    def _done(self, step: Step) -> None:
        if step.urn == self.stack_urn and step.op in ("same", "create"):
            self.recorder.hold(step)
        else:
            self.recorder.finished(step)

    def delete(self, resource: Resource) -> None:
        """Delete a resource through its provider, as a pending operation in the state."""
        if not resource.provider:
            raise StepError(resource.urn, "The state has no provider for it.")
        plugin = self.providers.load(resource.provider, self.journal.resources)
        urn = self.former_urns.get(id(resource), resource.urn)

        def call() -> None:
            plugin.delete(
                urn,
                resource.id,
                resource.inputs,
                resource.outputs,
                timeout=resource.custom_timeouts.get("delete", 0),
            )

        with self.journal.during("deleting", resource):
            self.hooks.retrying("Delete", None, resource, call)

    def check_targets(self) -> None:
        """Raise EngineError for targets that match no resource; a wildcard may match none."""
        existing = {*self.claimed, *self.olds}
        unknown_targets = [
            text for text in self.request.targets if "*" not in text and text not in existing
        ]
        if unknown_targets:
            raise EngineError(
                f"No resource has the target URN {', '.join(unknown_targets)}. `export` lists the "
                "stack's URNs."
            )


def _serve_dynamic(project: Project, request: Request) -> DynamicServer:
    """Start the server of the program's dynamic providers."""
    return DynamicServer(interpreter(project), project.folder, project.name, request.variables)


def _target(text: str) -> re.Pattern[str]:
    parts = (re.escape(part).replace(r"\*", "[^:]*") for part in text.split("**"))
    return re.compile(".*".join(parts))
