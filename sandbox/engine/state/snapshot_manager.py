"""The state during an operation: completed and pending steps, written after every step.

The list has Pulumi's order: the resources registered so far, then the remaining ones in their
previous order. A resource that a preceding one needs moves before it, so every resource follows its
dependencies, and either engine can read the file at any time.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sandbox.engine.errors import EngineError, ProviderError
from sandbox.engine.state.backend import Backend, now
from sandbox.engine.state.property_values import dumps
from sandbox.engine.state.resource import (
    Resource,
    features_used,
    in_order,
    is_provider,
    resource_from_state,
    resource_to_state,
)
from sandbox.engine.state.secrets_providers import Secrets

_VERSION = "v3.272.0"  # the engine version whose checkpoint format is written


class _Rendered(NamedTuple):
    """A resource as JSON text, and the features that it uses."""

    resource: Resource
    text: str
    features: list[str]


class _References(NamedTuple):
    """The names of a resource, `reference` only of a provider, and those that precede it."""

    resource: Resource
    urn: str
    reference: str
    references: frozenset[str]


# Writes take at most a tenth of the time of concurrent steps, however large the state is.
_PAUSE = 9


class SnapshotManager:
    """The resources of one stack; a change is on disk when its call returns."""

    def __init__(
        self,
        backend: Backend,
        project: str,
        stack: str,
        secrets: Callable[[Mapping[str, Any]], Secrets],
        *,
        read_only: bool,
    ) -> None:
        """Load the stack's state. `secrets` opens the secrets of a state, empty for a new stack."""
        self._backend, self._project, self._stack, self._read_only = (
            backend,
            project,
            stack,
            read_only,
        )
        deployment = backend.read(project, stack) if backend.exists(project, stack) else {}
        self.secrets = secrets(deployment)
        if deployment.get("snippets"):
            raise EngineError(
                f"Stack {stack!r} has snippets, which this engine does not support. Use the Pulumi "
                "CLI."
            )
        self.base = [
            resource_from_state(item, self.secrets) for item in deployment.get("resources") or []
        ]
        self.interrupted: list[tuple[str, Resource]] = [
            (operation["type"], resource_from_state(operation["resource"], self.secrets))
            for operation in deployment.get("pending_operations") or []
        ]
        self.base = _follow_aliases(deployment.get("resources") or [], self.base)
        self._done: dict[int, Resource] = {}
        self._gone: set[int] = set()
        self._carried: list[tuple[Resource, Resource]] = []
        self._pending: dict[int, str] = {}
        # By identity; the resource is stored too, so that no other one gets its identity.
        self._rendered: dict[int, _Rendered] = {}
        self._references: dict[int, _References] = {}
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._version = 0
        self._written = 0
        self._next_write = 0.0  # earliest time of the next write that several steps share

    def resources(self) -> list[Resource]:
        """Return the current resources."""
        with self._lock:
            gone = self._gone - self._still_there() if self._carried else self._gone
            remaining = (old for old in self.base if id(old) not in gone)
            resources = [*self._done.values(), *remaining]
            return resources if self._are_ordered(resources) else in_order(resources)

    def _are_ordered(self, resources: list[Resource]) -> bool:
        """Whether every resource follows its references, at less cost than `in_order`."""
        names: set[str] = set()
        for resource in resources:
            cached = self._references.get(id(resource))
            if cached is None:
                references = frozenset({*resource.refers_to(), resource.provider} - {""})
                reference = f"{resource.urn}::{resource.id}" if is_provider(resource.type) else ""
                cached = _References(resource, resource.urn, reference, references)
                self._references[id(resource)] = cached
            _, urn, reference, references = cached
            if not references <= names:
                return False
            names.add(urn)
            if reference:
                names.add(reference)
        return True

    def _still_there(self) -> set[int]:
        """Return resources that exist as long as their carrier does, with the providers and
        components they need.
        """
        self._carried = [
            (carrier, item) for carrier, item in self._carried if id(carrier) not in self._gone
        ]
        carried = [item for _, item in self._carried]
        present = {
            item.urn
            for item in [*self._done.values(), *self.base, *carried]
            if id(item) not in self._gone
        }
        present |= {item.urn for item in carried}
        for item in carried:  # extended in the loop; these exist in the state only
            missing = item.needs() - present
            for other in self.base:
                lost = not other.custom and other.urn in missing
                if lost or (
                    is_provider(other.type) and f"{other.urn}::{other.id}" == item.provider
                ):
                    present.add(other.urn)
                    if not any(other is already for already in carried):
                        carried.append(other)
        for item in carried:
            if item.refers_to() - present:
                item.forget_missing(present)
                self._changed(item)
        return set(map(id, carried))

    @contextmanager
    def during(self, operation: str, resource: Resource) -> Iterator[None]:
        """Record a provider call as a pending operation (`creating`, `updating`, `deleting`).

        If the call is interrupted, the record remains for the next run.
        """
        with self._lock:
            self._pending[id(resource)] = self._operation(operation, resource)
        self.write()
        lost = False
        try:
            yield
        except ProviderError as error:
            lost = error.lost
            raise
        finally:
            if not lost:
                with self._lock:
                    del self._pending[id(resource)]

    def put(
        self,
        resource: Resource,
        *,
        replacing: Resource | None = None,
        unchanged: bool = False,
        forget_creation: bool = False,
    ) -> None:
        """Record a registered resource, replacing the old one if given.

        An `unchanged` one is written with the next step, because nothing happened to it.
        `forget_creation` removes the record of its creation by an earlier, interrupted run.
        """
        with self._lock:
            if replacing is not None:
                self._gone.add(id(replacing))
                self._done.pop(id(replacing), None)  # just imported
            self._done[id(resource)] = resource
            if forget_creation:
                self.interrupted = [
                    (kind, item)
                    for kind, item in self.interrupted
                    if kind != "creating" or item.urn != resource.urn
                ]
        if not unchanged:
            self.write()

    def condemn(self, resource: Resource) -> None:
        """Mark a replaced resource for deletion; written with the next step."""
        with self._lock:
            resource.delete = True
            self._changed(resource)

    def changed(self, resource: Resource) -> None:
        """Record that a resource was changed in place."""
        with self._lock:
            self._changed(resource)
        self.write()

    def _changed(self, resource: Resource) -> None:
        self._rendered.pop(id(resource), None)
        self._references.pop(id(resource), None)

    def drop(self, resource: Resource, *, carrier: Resource | None = None) -> None:
        """Record that a resource is deleted, or will be with its `carrier`."""
        with self._lock:
            if carrier is not None:
                self._carried.append((carrier, resource))
            self._gone.add(id(resource))
            self._done.pop(id(resource), None)
        self.write()

    def replace_all(self, resources: Iterable[Resource]) -> None:
        """Replace all resources, as a refresh does."""
        with self._lock:
            self.base, self._done, self._gone = list(resources), {}, set()
            self._rendered.clear()
            self._references.clear()
        self.write()

    def rename(self, old: Resource, names: dict[str, str]) -> None:
        """Rename a resource and the references to it before any operation on it."""
        with self._lock:
            old.urn = names.get(old.urn, old.urn)
            self._changed(old)
            for item in self.base:
                if (
                    item is not old
                    and id(item) not in self._gone
                    and item.refers_to() & names.keys()
                ):
                    renamed = item.renamed(names)
                    for attribute in (
                        "parent",
                        "dependencies",
                        "property_dependencies",
                        "deleted_with",
                        "replace_with",
                        "provider",
                    ):
                        setattr(item, attribute, getattr(renamed, attribute))
                    self._changed(item)

    def write(self) -> None:
        """Write the checkpoint; concurrent steps share one write, and each returns after it."""
        if self._read_only:
            return
        with self._lock:
            self._version += 1
            own_version = self._version
        with self._writing:
            if self._written >= own_version:
                return
            if len(self._pending) > 1:  # other steps join this write
                time.sleep(max(0.0, self._next_write - time.monotonic()))
            started = time.thread_time()
            with self._lock:
                version = self._version
                rendered = [self._render(item) for item in self.resources()]
                text = self._deployment(rendered)
            features = {name for item in rendered if item.features for name in item.features}
            self._backend.write(self._project, self._stack, text, sorted(features))
            self._written = version
            self._next_write = time.monotonic() + _PAUSE * (time.thread_time() - started)

    def _deployment(self, rendered: Iterable[_Rendered]) -> str:
        """Return the deployment as JSON text, secrets encrypted."""
        head = {
            "manifest": manifest(),
            "secrets_providers": self.secrets.provider,
        }
        resources = ",".join([item.text for item in rendered])
        interrupted = (self._operation(kind, item) for kind, item in self.interrupted)
        operations = ",".join([*interrupted, *self._pending.values()])
        parts = [dumps(head)[1:-1], f'"resources":[{resources}]', '"metadata":{}']
        if operations:
            parts.insert(2, f'"pending_operations":[{operations}]')
        return "{" + ",".join(parts) + "}"

    def _operation(self, kind: str, resource: Resource) -> str:
        text = dumps(resource_to_state(resource, self.secrets))
        return f'{{"resource":{text},"type":"{kind}"}}'

    def _render(self, resource: Resource) -> _Rendered:
        rendered = self._rendered.get(id(resource))
        if rendered is None:
            state = resource_to_state(resource, self.secrets)
            rendered = _Rendered(resource, dumps(state), features_used([state]))
            self._rendered[id(resource)] = rendered
        return rendered


def manifest() -> dict[str, Any]:
    """Return the manifest; `magic` is the integrity mark that Pulumi verifies."""
    return {
        "time": now(),
        "magic": hashlib.sha256(_VERSION.encode()).hexdigest(),
        "version": _VERSION,
    }


def _follow_aliases(states: list[dict[str, Any]], resources: list[Resource]) -> list[Resource]:
    names = {alias: item["urn"] for item in states for alias in item.get("aliases") or []}
    return [resource.renamed(names) for resource in resources]
