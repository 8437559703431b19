"""Provider resources (`pulumi:providers:aws`): their lifecycle and their clients."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.engine.errors import ProviderError
from sandbox.engine.plugins import builtin_provider
from sandbox.engine.plugins.dynamic_provider import PACKAGE, DynamicServer
from sandbox.engine.plugins.provider_client import Difference, ProviderClient
from sandbox.engine.state.property_values import UNKNOWN_ID, Properties, equal
from sandbox.engine.state.resource import Resource, provider_package, split_reference, urn_type


def configuration_of(inputs: Mapping[str, Any]) -> Properties:
    """Return a provider resource's inputs without the engine's `__internal`."""
    return {key: value for key, value in inputs.items() if key != "__internal"}


class Providers:
    """Opens and configures providers; handles provider resources with a client's interface."""

    def __init__(
        self,
        ports: Mapping[str, int],
        engine_address: Callable[[], str],
        directories: tuple[str, str],
        start_dynamic: Callable[[], DynamicServer],
        stacks: builtin_provider.Stacks,
    ) -> None:
        self._stacks = stacks
        self._ports, self._engine_address, self._directories = (
            dict(ports),
            engine_address,
            directories,
        )
        self._start_dynamic = start_dynamic
        self._dynamic: DynamicServer | None = None
        self._instances: dict[str, ProviderClient] = {}
        self._unconfigured: dict[str, ProviderClient] = {}
        self._opened: list[ProviderClient] = []
        self._lock = threading.RLock()

    def _open(self, package: str) -> ProviderClient:
        if package == builtin_provider.PACKAGE:
            return builtin_provider.Builtins(self._stacks)
        with self._lock:
            if package == PACKAGE and package not in self._ports:
                self._dynamic = self._start_dynamic()
                self._ports[PACKAGE] = self._dynamic.port
        if package not in self._ports:
            attached = ", ".join(sorted(self._ports)) or "none"
            raise ProviderError(
                f"There is no provider for package {package!r} (attached: {attached}). Start one "
                f"and set PULUMI_DEBUG_PROVIDERS={package}:PORT."
            )
        plugin = ProviderClient(
            package, self._ports[package], self._engine_address(), self._directories
        )
        with self._lock:
            self._opened.append(plugin)
        return plugin

    def get(self, reference: str) -> ProviderClient | None:
        """Return the client of a reference that was registered or loaded in this operation."""
        with self._lock:
            return self._instances.get(reference)

    def load(self, reference: str, resources: Callable[[], list[Resource]]) -> ProviderClient:
        """Return the client of a reference, configured from the state if it is not registered."""
        with self._lock:
            plugin = self._instances.get(reference)
            if plugin is not None:
                return plugin
            urn, identifier = split_reference(reference)
            for resource in resources():
                if resource.urn == urn and resource.id == identifier:
                    self.same(resource)
                    return self._instances[reference]
        raise ProviderError(f"The state has no provider {reference}.")

    # Lifecycle of provider resources, with the interface of ProviderClient.

    def check(
        self,
        urn: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        seed: bytes,
    ) -> Properties:
        """Check the configuration with a new client, which the next step uses."""
        _ = (old_outputs, seed)  # providers have no auto-names
        plugin = self._open(provider_package(urn_type(urn)))
        checked = plugin.check_config(urn, configuration_of(old_inputs), configuration_of(new))
        for key in ("version", "__internal"):
            if key in new:
                checked[key] = new[key]
        with self._lock:
            self._unconfigured[urn] = plugin
        return checked

    def diff(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
    ) -> Difference:
        """Compare configurations; without an answer, a changed configuration is an update."""
        _ = ignored
        with self._lock:
            plugin = self._unconfigured.get(urn) or self._instances[f"{urn}::{identifier}"]
        difference = plugin.diff_config(
            urn, configuration_of(old_inputs), old_outputs, configuration_of(new)
        )
        if difference.changes is None:
            difference.changes = not equal(configuration_of(old_inputs), configuration_of(new))
        return difference

    def create(
        self, urn: str, inputs: Properties, *, timeout: float, preview: bool
    ) -> tuple[str, Properties]:
        """Configure a new provider; returns ID (unknown in a preview) and outputs."""
        _ = timeout
        identifier = UNKNOWN_ID if preview else str(uuid.uuid4())
        return identifier, self._configure(urn, identifier, inputs)

    def update(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
        *,
        timeout: float,
        preview: bool,
    ) -> Properties:
        """Configure the provider again under its ID."""
        _ = (old_inputs, old_outputs, ignored, timeout, preview)
        return self._configure(urn, identifier, new)

    def same(self, resource: Resource) -> None:
        """Configure an unchanged provider, once."""
        with self._lock:
            if f"{resource.urn}::{resource.id}" not in self._instances:
                self._configure(resource.urn, resource.id, resource.inputs)

    def _configure(self, urn: str, identifier: str, inputs: Properties) -> Properties:
        with self._lock:
            plugin = self._unconfigured.pop(urn, None) or self._open(
                provider_package(urn_type(urn))
            )
        settings = configuration_of(inputs)
        plugin.configure(urn, identifier, settings)
        with self._lock:
            self._instances[f"{urn}::{identifier}"] = plugin
        return settings

    def cancel(self) -> None:
        """Cancel every provider's pending calls."""
        for plugin in list(self._opened):
            plugin.cancel()

    def close(self) -> None:
        """Close every connection."""
        for plugin in self._opened:
            plugin.close()
        if self._dynamic is not None:
            self._dynamic.stop()
