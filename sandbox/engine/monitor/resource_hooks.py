"""Resource hooks: functions of the program that run before and after operations, and on errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pulumi.runtime.proto import resource_pb2

from sandbox.engine.errors import EngineError, ProviderError
from sandbox.engine.monitor.callbacks import Callbacks
from sandbox.engine.state.property_values import to_struct
from sandbox.engine.state.resource import Resource, urn_name, urn_type

Action = Literal["Create", "Update", "Delete"]
Done = TypeVar("Done")
# Name on the wire to name in the state.
_KINDS = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
    "on_error": "OnError",
}
_MAX_ATTEMPTS = 100  # as in the Pulumi engine: bounds an error hook that always retries


def hook_names(request: resource_pb2.RegisterResourceRequest) -> dict[str, list[str]]:
    """Return the hooks of a registration, as stored in the state."""
    return {
        ours: list(names)
        for theirs, ours in _KINDS.items()
        if (names := getattr(request.hooks, theirs))
    }


def fill_binding(binding: Any, hooks: dict[str, list[str]]) -> None:
    """Write hook names into a request."""
    for theirs, ours in _KINDS.items():
        getattr(binding, theirs).extend(hooks.get(ours, ()))


class Hooks:
    """The hooks that a run of the program registered; `report` takes severity, URN and text."""

    def __init__(
        self, callbacks: Callbacks, report: Callable[[str, str, str], None], *, preview: bool
    ) -> None:
        self._callbacks, self._tell, self._preview = callbacks, report, preview
        self._hooks: dict[str, resource_pb2.RegisterResourceHookRequest] = {}
        self._error_hooks: dict[str, resource_pb2.RegisterErrorHookRequest] = {}
        self._components: dict[str, tuple[Action, Resource, Resource | None]] = {}
        self._lock = threading.Lock()

    def register(self, request: resource_pb2.RegisterResourceHookRequest) -> None:
        """Register a hook; EngineError for a duplicate name."""
        with self._lock:
            self._claim(request.name)
            self._hooks[request.name] = request

    def register_error_hook(self, request: resource_pb2.RegisterErrorHookRequest) -> None:
        """Register an error hook; EngineError for a duplicate name."""
        with self._lock:
            self._claim(request.name)
            self._error_hooks[request.name] = request

    def _claim(self, name: str) -> None:
        if not name:
            raise EngineError("A resource hook needs a name.")
        if name in self._hooks or name in self._error_hooks:
            raise EngineError(f"There are two resource hooks named {name!r}. Rename one.")

    def before(self, action: Action, new: Resource | None, old: Resource | None = None) -> None:
        """Run the hooks before an operation; EngineError if one prevents it."""
        self._run(f"Before{action}", new, old, new_outputs=False)

    def after(self, action: Action, new: Resource | None, old: Resource | None = None) -> None:
        """Run the hooks after an operation. A failing hook fails the run, but the operation stays
        done.
        """
        try:
            self._run(f"After{action}", new, old, new_outputs=True)
        except EngineError as error:
            self._tell("error", _subject(new, old).urn, str(error))

    def await_outputs(self, action: Action, new: Resource, old: Resource | None) -> None:
        """Defer a component's after-hooks until its outputs are registered."""
        with self._lock:
            self._components[new.urn] = (action, new, old)

    def outputs_registered(self, urn: str) -> None:
        """Run a component's after-hooks."""
        with self._lock:
            done = self._components.pop(urn, None)
        if done is not None:
            self.after(*done)

    def _run(
        self, kind: str, new: Resource | None, old: Resource | None, *, new_outputs: bool
    ) -> None:
        subject = _subject(new, old)
        for name in subject.resource_hooks.get(kind, ()):
            hook = self._hooks.get(name)
            if hook is None:
                raise _unregistered(kind, name)
            if self._preview and not hook.on_dry_run:
                continue
            request = resource_pb2.ResourceHookRequest(
                urn=subject.urn,
                id=subject.id,
                name=urn_name(subject.urn),
                type=urn_type(subject.urn),
            )
            _describe(request, new, old)
            if new is not None and new_outputs:
                request.new_outputs.CopyFrom(to_struct(new.outputs, secrets=True))
            try:
                response = self._callbacks.invoke(
                    hook.callback, request, resource_pb2.ResourceHookResponse
                )
                problem = str(response.error)
            except EngineError as error:
                problem = str(error)
            if problem and hook.ignore_errors:
                self._tell("warning", subject.urn, f"{kind} hook {name!r} failed: {problem}")
            elif problem:
                raise EngineError(f"{kind} hook {name!r} failed: {problem}")

    def retrying(
        self, action: Action, new: Resource | None, old: Resource | None, call: Callable[[], Done]
    ) -> Done:
        """Run a provider call; retry it as often as the resource's error hooks request."""
        subject = _subject(new, old)
        failures: list[str] = []
        while True:
            try:
                return call()
            except ProviderError as error:
                failures.insert(0, str(error))  # newest first
                if not self._want_another_try(action, new, old, failures):
                    raise
                if len(failures) >= _MAX_ATTEMPTS:
                    self._tell(
                        "warning",
                        subject.urn,
                        f"It was attempted {_MAX_ATTEMPTS} times, the maximum.",
                    )
                    raise
                self._tell(
                    "warning",
                    subject.urn,
                    f"{error}\nIts error hook requests a retry ({len(failures)}).",
                )

    def _want_another_try(
        self, action: Action, new: Resource | None, old: Resource | None, failures: list[str]
    ) -> bool:
        subject, retry = _subject(new, old), False
        for name in subject.resource_hooks.get("OnError", ()):
            hook = self._error_hooks.get(name)
            if hook is None:
                raise EngineError(f"{failures[0]}\n{_unregistered('OnError', name)}")
            request = resource_pb2.ErrorHookRequest(
                urn=subject.urn,
                id=subject.id,
                name=urn_name(subject.urn),
                type=urn_type(subject.urn),
                failed_operation=action.lower(),
                errors=failures,
            )
            _describe(request, new, old)
            response = self._callbacks.invoke(
                hook.callback,
                request,
                resource_pb2.ErrorHookResponse,
                f"{failures[0]}\nIts error hook {name!r}",
            )
            if response.error:
                raise EngineError(
                    f"{failures[0]}\nIts error hook {name!r} failed: {response.error}"
                )
            retry = retry or response.retry
        return retry


def _subject(new: Resource | None, old: Resource | None) -> Resource:
    subject = new or old
    if subject is None:
        raise EngineError("A hook was called without a resource.")
    return subject


def _describe(request: Any, new: Resource | None, old: Resource | None) -> None:
    if new is not None:
        request.new_inputs.CopyFrom(to_struct(new.inputs, secrets=True))
    if old is not None:
        request.old_inputs.CopyFrom(to_struct(old.inputs, secrets=True))
        request.old_outputs.CopyFrom(to_struct(old.outputs, secrets=True))


def _unregistered(kind: str, name: str) -> EngineError:
    return EngineError(
        f"Its {kind} hook {name!r} is not registered: the program no longer defines it, or did "
        "not run. Define the hook again, or remove it from the resource with an `up`; `destroy "
        "--run-program` runs the program for its hooks."
    )
