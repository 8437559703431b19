"""What a provider of the sandbox is: plain Python classes that `server` puts behind the provider protocol.

A provider is a `Provider` with a name, a version and `connect(config)`, which makes a `Connection`: the provider as one
engine has configured it. Several provider instances (two regions, two kubeconfigs) attach to one port; the gRPC peer
tells them apart, so an engine opens a connection of its own for each instance. A `Connection` has blocking methods
that run concurrently in threads and speak plain dictionaries (see `values`): `UNKNOWN` marks what a preview doesn't
know, and secrets are put back by the framework wherever an input of the same path was secret.

    class Random(Connection):
        def check(self, resource, old, new, seed): return Checked(new)
        def diff(self, resource, id, old_inputs, old_state, new_inputs): return Difference({"length": Change.UPDATE_REPLACE})
        def create(self, resource, inputs, preview): return Created("the-id", {**inputs, "result": UNKNOWN if preview else …})
        def read(self, resource, id, inputs, state): return Found(id, state, inputs)   # None: it has vanished
        def update(self, resource, id, old_inputs, old_state, new_inputs, preview): return Updated({**old_state, **new_inputs})
        def delete(self, resource, id, inputs, state): …
        def invoke(self, token, args, preview): return Invoked({"result": 1})

Failures are raised: `Failure` (nothing was made or changed) or `PartialFailure` (it exists, but isn't what was asked
for; the engine keeps its id and state). What is wrong with inputs is returned by check. Anything else is a defect: the engine gets
one sentence, the trace goes to the provider's own stderr. `resource.log("warning", text)` shows a line to the user.
Components override `construct(request)` of `pulumi.provider.experimental.Provider`, which `Provider` is.
"""

# ruff: noqa: ARG002 -- a base class names the arguments that its subclasses use
from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from pulumi.provider.experimental import provider as sdk
from pulumi.runtime.proto import provider_pb2

from sandbox.providers.property_values import UNKNOWN, Path, Properties

__all__ = [
    "UNKNOWN",
    "Change",
    "Checked",
    "Connection",
    "Created",
    "Difference",
    "Failure",
    "Found",
    "Invoked",
    "PartialFailure",
    "Path",
    "Properties",
    "Provider",
    "Resource",
    "Severity",
    "Updated",
    "plain_difference",
]

Severity = Literal["debug", "info", "warning", "error"]


class Failure(Exception):  # noqa: N818 -- reads as what it is where it is raised
    """The request can't be done; nothing was made or changed. The text is one paragraph for the user."""


class PartialFailure(Failure):
    """The resource exists but isn't what was asked for; `id` and `state` are what the engine must remember of it."""

    def __init__(self, message: str, id: str, state: Properties, inputs: Properties | None = None) -> None:
        super().__init__(message)
        self.id, self.state, self.inputs = id, state, inputs


@dataclass(frozen=True)
class Resource:
    """Which resource a call is about, and how to say something about it to the user."""

    urn: str
    type: str
    name: str
    timeout: float = 0.0
    """Seconds that the program's custom timeout allows for this operation; 0 when it sets none."""
    log: Callable[[Severity, str], None] = field(default=lambda _severity, _text: None, compare=False)
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False)
    ignored: Sequence[str] = ()
    """Property paths of `ignore_changes`; the engine has put their old values into the new inputs already."""


@dataclass(frozen=True)
class Checked:
    """Inputs with defaults filled in, and what is wrong with them: pairs of property ("" for none) and reason."""

    inputs: Properties
    failures: Sequence[tuple[str, str]] = ()


class Change(Enum):
    """What happened to a property between the old and the new inputs; `…_REPLACE` needs a new resource."""

    ADD = provider_pb2.PropertyDiff.ADD
    ADD_REPLACE = provider_pb2.PropertyDiff.ADD_REPLACE
    DELETE = provider_pb2.PropertyDiff.DELETE
    DELETE_REPLACE = provider_pb2.PropertyDiff.DELETE_REPLACE
    UPDATE = provider_pb2.PropertyDiff.UPDATE
    UPDATE_REPLACE = provider_pb2.PropertyDiff.UPDATE_REPLACE

    @property
    def replaces(self) -> bool:
        """Whether this change needs a new resource."""
        return self in (Change.ADD_REPLACE, Change.DELETE_REPLACE, Change.UPDATE_REPLACE)


@dataclass(frozen=True)
class Difference:
    """Every change by its property path (`tags.Name`, `ingress[0].toPort`); no path, no change."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    delete_before_replace: bool = False
    stables: Sequence[str] = ()


@dataclass(frozen=True)
class Created:
    """A new resource: its id ("" in a preview), its state, and paths of the state that are secret beside the inputs'."""

    id: str
    state: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Found:
    """A live resource as read: its id (in canonical form), its state, and the inputs that would make it."""

    id: str
    state: Properties
    inputs: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Updated:
    """The state of a resource after an update, and paths of it that are secret beside the inputs'."""

    state: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Invoked:
    """What a function returned, which paths of that are secret, and what was wrong with its arguments."""

    result: Properties
    secrets: Sequence[Path] = ()
    failures: Sequence[tuple[str, str]] = ()


class Connection:
    """A provider as one engine has configured it. Methods block, run concurrently, and raise `Failure`s."""

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Fill in defaults and names; report what is wrong. `old` is empty for a new resource."""
        raise Failure(f"{resource.type} isn't emulated by the sandbox.")

    def diff(
        self, resource: Resource, id: str, old_inputs: Properties, old_state: Properties, new_inputs: Properties
    ) -> Difference:
        """Compare what the resource was made from with what it shall be."""
        raise NotImplementedError

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Make the resource; in a preview, only say what its state would be."""
        raise NotImplementedError

    def read(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> Found | None:
        """Look the resource up, for a refresh, or for an import when inputs and state are empty; None: it is gone."""
        raise NotImplementedError

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
        preview: bool,
    ) -> Updated:
        """Change the resource in place; in a preview, only say what its state would be."""
        raise NotImplementedError

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Remove the resource; one that is gone already is removed."""
        raise NotImplementedError

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """Run a function of the provider."""
        raise Failure(f"the function {token} isn't emulated by the sandbox.")

    def cancel(self) -> None:
        """Stop waiting for anything; called once when the user interrupts."""


class Provider(sdk.Provider):
    """A provider before anyone has configured it. `construct` and `call` come from the SDK's class."""

    name: str
    version: str
    checks_offline: bool = False
    """Whether `connect` takes a configuration that a preview doesn't know all of; else such a preview only echoes."""

    def connect(self, config: Properties) -> Connection:
        """Make the provider as this configuration wants it; JSON text in the configuration is decoded already."""
        raise Failure(f"the provider {self.name} manages no resources of its own.")

    def check_configuration(self, old: Properties, new: Properties) -> Checked:
        """Look at a configuration before it is used; values are as the program sent them, structures as JSON text."""
        return Checked(new)

    def diff_configuration(self, old: Properties, new: Properties) -> Difference:
        """Compare two configurations. By default a change of configuration updates the provider and replaces nothing."""
        return plain_difference(old, new)

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        """Name and version only: programs bring typed SDKs of their own."""
        schema = json.dumps({"name": self.name, "version": self.version})
        return sdk.GetSchemaResponse(schema=schema)


def plain_difference(old: Properties, new: Properties) -> Difference:
    """Compare two property maps key by key; nothing replaces."""
    changes = {k: Change.ADD for k in new if k not in old}
    changes |= {k: Change.DELETE for k in old if k not in new}
    changes |= {k: Change.UPDATE for k in new if k in old and new[k] != old[k]}
    return Difference(changes)
