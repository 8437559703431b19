"""Provider references: the explicit one, the nearest ancestor's, or the package's default."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, ProviderError
from sandbox.engine.monitor.register_request import RegisterRequest
from sandbox.engine.plugins import builtin_provider
from sandbox.engine.plugins.provider_client import ProviderClient
from sandbox.engine.state.property_values import Secret
from sandbox.engine.state.resource import PROVIDER_PREFIX


class DefaultProviders:
    """Resolves provider references and registers default providers on demand."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._references: dict[tuple[str, str, str], str] = {}
        self._locks: dict[tuple[str, str, str], threading.Lock] = {}
        self._guard = threading.Lock()
        self._by_parent: dict[str, dict[str, str]] = {}
        self.register: Callable[[RegisterRequest], str] = _not_ready

    def remember(self, urn: str, parent: str, providers: dict[str, str]) -> None:
        """Record the providers that a component passes to its children."""
        with self._guard:
            self._by_parent[urn] = {**self._by_parent.get(parent, {}), **providers}

    def named(self, reference: str, providers: Mapping[str, str], parent: str, package: str) -> str:
        """Return the provider reference, empty for the default provider."""
        return (
            reference
            or providers.get(package, "")
            or self._by_parent.get(parent, {}).get(package, "")
        )

    def resolve(
        self, reference: str, parent: str, package: str, version: str, url: str
    ) -> tuple[str, ProviderClient]:
        """Return the provider's reference and client."""
        deployment = self._deployment
        reference = self.named(reference, {}, parent, package)
        if not reference:
            reference = self._default(package, version, url)
        plugin = deployment.providers.get(reference)
        if plugin is None:
            raise ProviderError(f"The provider {reference} is not registered.")
        return reference, plugin

    def _default(self, package: str, version: str, url: str) -> str:
        key = (package, version, url)
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._references:
                self._references[key] = self.register(self._goal(package, version, url))
            return self._references[key]

    def _goal(self, package: str, version: str, url: str) -> RegisterRequest:
        settings = self._deployment.configuration.package(package)
        barred = self._deployment.configuration.values.get("pulumi:disable-default-providers", "")
        if package != builtin_provider.PACKAGE and ('"*"' in barred or f'"{package}"' in barred):
            raise EngineError(
                f"The default provider of {package!r} is disabled by "
                "pulumi:disable-default-providers. Pass an explicit provider."
            )
        inputs: dict[str, object] = {
            name: Secret(value) if hidden else value for name, (value, hidden) in settings.items()
        }
        inputs |= plugin_inputs(version, url)
        name = "default" + "".join(
            f"_{part}" for part in version.replace("+", ".").replace("-", ".").split(".") if part
        )
        if url:
            segments = filter(None, url.split("/"))
            name += "_" + "/".join(re.sub(r"[^A-Za-z0-9_.-]", "_", segment) for segment in segments)
        return RegisterRequest(type=PROVIDER_PREFIX + package, name=name, inputs=dict(inputs))


def plugin_inputs(
    version: str, url: str, variables: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return what the program requests of the plugin itself, as in a provider's inputs."""
    internal: dict[str, object] = {"pluginDownloadURL": url} if url else {}
    if variables:
        internal["envVarMappings"] = dict(variables)
    return ({"__internal": internal} if version or internal else {}) | (
        {"version": version} if version else {}
    )


def _not_ready(request: RegisterRequest) -> str:
    raise EngineError(
        f"The default provider {request.name} was requested before the program began."
    )
