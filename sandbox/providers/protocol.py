"""The interface of the sandbox's providers: Python classes that `server` exposes over gRPC.

A `Provider` has a name, a version and `connect(config)`, which returns a `Connection`: the provider
as one engine configured it. Provider instances share a port and are distinguished by gRPC peer, so
an engine opens one connection for each. Methods of a `Connection` block, run concurrently in
threads and use plain dictionaries (see `property_values`); `UNKNOWN` marks unknown values of a
preview, and the framework marks outputs as secret where the input of the same path is.

    class Random(Connection):
        def check(self, resource, old, new, seed): return Checked(new)
        def diff(self, resource, id, old_inputs, old_state, new_inputs): return Difference({…})
        def create(self, resource, inputs, preview): return Created("id", {**inputs, "result": …})
        def read(self, resource, id, inputs, state): return Found(id, state, inputs)  # or None
        def update(self, resource, id, old_inputs, old_state, new_inputs, preview): …
        def delete(self, resource, id, inputs, state): …
        def invoke(self, token, args, preview): return Invoked({"result": 1})

`check` returns problems of inputs. Other failures are raised: `Failure` without effect, or
`PartialFailure` with the ID and state of what exists. Any other exception is a bug, logged with its
traceback on stderr. `resource.log("warning", text)` sends a message to the user. Components
override `construct(request)` of `pulumi.provider.experimental.Provider`.
"""

# ruff: noqa: ARG002 - a base class names the arguments that its subclasses use
from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NoReturn

from pulumi.provider.experimental import provider as sdk
from pulumi.runtime.proto import provider_pb2

from sandbox.providers.failures import Failure, PartialFailure
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

Severity = Literal["debug", "status", "info", "warning", "error"]
"""A status is shown in the resource's row while it is current, and is not kept."""


@dataclass(frozen=True)
class Resource:
    """The resource of a call, and its log."""

    urn: str
    type: str
    name: str
    timeout: float = 0.0
    """The program's custom timeout for this operation in seconds; 0 without."""
    log: Callable[[Severity, str], None] = field(
        default=lambda _severity, _text: None, compare=False
    )
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False)
    ignored: Sequence[str] = ()
    """Paths of `ignore_changes`; the engine already restored their old values."""


@dataclass(frozen=True)
class Checked:
    """Inputs with defaults, and problems: pairs of property ("" for none) and reason."""

    inputs: Properties
    failures: Sequence[tuple[str, str]] = ()


class Change(Enum):
    """The difference of a property; `…_REPLACE` requires a replacement."""

    ADD = provider_pb2.PropertyDiff.ADD
    ADD_REPLACE = provider_pb2.PropertyDiff.ADD_REPLACE
    DELETE = provider_pb2.PropertyDiff.DELETE
    DELETE_REPLACE = provider_pb2.PropertyDiff.DELETE_REPLACE
    UPDATE = provider_pb2.PropertyDiff.UPDATE
    UPDATE_REPLACE = provider_pb2.PropertyDiff.UPDATE_REPLACE

    @property
    def replaces(self) -> bool:
        """Whether this change requires a replacement."""
        return self in (Change.ADD_REPLACE, Change.DELETE_REPLACE, Change.UPDATE_REPLACE)


@dataclass(frozen=True)
class Difference:
    """Every change by its property path (`tags.Name`, `ingress[0].toPort`)."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    delete_before_replace: bool = False
    stables: Sequence[str] = ()


@dataclass(frozen=True)
class Created:
    """A new resource: ID ("" in a preview), state, and paths of secrets in the state."""

    id: str
    state: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Found:
    """A resource as read: canonical ID, state, and the inputs that would create it."""

    id: str
    state: Properties
    inputs: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Updated:
    """The state after an update, and paths of secrets in it."""

    state: Properties
    secrets: Sequence[Path] = ()


@dataclass(frozen=True)
class Invoked:
    """A function's result, paths of secrets in it, and problems of the arguments."""

    result: Properties
    secrets: Sequence[Path] = ()
    failures: Sequence[tuple[str, str]] = ()


class Connection:
    """A configured provider. Methods block, run concurrently, and raise `Failure`."""

    program_directory: str = ""
    """The program's directory, set by the server; empty for engines that do not report it."""

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Set defaults and names; report problems. `old` is empty for a new resource."""
        raise Failure(f"{resource.type} is not emulated by the sandbox.")

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        """Compare old and new inputs."""
        raise NotImplementedError

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Create the resource; in a preview, return its expected state."""
        raise NotImplementedError

    def read(
        self, resource: Resource, id: str, inputs: Properties, state: Properties
    ) -> Found | None:
        """Read the resource, for a refresh or (without inputs and state) an import; None if
        missing.
        """
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
        """Update the resource in place; in a preview, return its expected state."""
        raise NotImplementedError

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Delete the resource; a missing one is no error."""
        raise NotImplementedError

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """Run a function."""
        raise Failure(f"the function {token} is not emulated by the sandbox.")

    def cancel(self) -> None:
        """Cancel all waiting; called once when the user interrupts."""


class Provider(sdk.Provider):
    """A provider before its configuration."""

    name: str
    version: str
    checks_offline: bool = False
    """Whether `connect` accepts unknown configuration; otherwise such a preview echoes."""

    def connect(self, config: Properties) -> Connection:
        """Configure the provider; JSON text is already decoded."""
        raise Failure(f"the provider {self.name} has no resources.")

    def refuse_component(self, token: str) -> NoReturn:
        """Refuse a component type by name."""
        raise Failure(f"{token} isn't emulated by the sandbox.")

    def check_configuration(self, old: Properties, new: Properties) -> Checked:
        """Validate a configuration; structures are JSON text."""
        return Checked(new)

    def diff_configuration(self, old: Properties, new: Properties) -> Difference:
        """Compare configurations; by default a change is an update."""
        return plain_difference(old, new)

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        """Return name and version only: programs use typed SDKs."""
        schema = json.dumps({"name": self.name, "version": self.version})
        return sdk.GetSchemaResponse(schema=schema)


def plain_difference(old: Properties, new: Properties) -> Difference:
    """Compare property maps by key; nothing replaces."""
    changes = {k: Change.ADD for k in new if k not in old}
    changes |= {k: Change.DELETE for k in old if k not in new}
    changes |= {k: Change.UPDATE for k in new if k in old and new[k] != old[k]}
    return Difference(changes)
