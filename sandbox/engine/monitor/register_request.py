"""Registrations and reads, decoded from the wire; unsupported features are refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime.proto import resource_pb2

from sandbox.engine.errors import EngineError
from sandbox.engine.monitor.resource_hooks import hook_names
from sandbox.engine.state.property_values import Properties, from_struct, from_value
from sandbox.engine.state.resource import is_provider

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclass(slots=True, kw_only=True)
class RegisterRequest:
    """A resource as the program registers it. None is unset: the parent's or provider's applies."""

    type: str
    name: str
    parent: str = ""
    custom: bool = True
    remote: bool = False
    inputs: Properties = field(default_factory=dict)
    protect: bool | None = None
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    provider: str = ""
    providers: dict[str, str] = field(default_factory=dict)
    version: str = ""
    plugin_url: str = ""
    delete_before_replace: bool | None = None
    ignore_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    alias_urns: list[str] = field(default_factory=list)
    aliases: list[Any] = field(default_factory=list)
    import_id: str = ""
    timeouts: dict[str, float] = field(default_factory=dict)
    replace_on_changes: list[str] = field(default_factory=list)
    retain_on_delete: bool | None = None
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    hide_diff: list[str] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)

    def needs(self) -> set[str]:
        """URNs that the resource requires."""
        needed = {
            *self.dependencies,
            *(urn for urns in self.property_dependencies.values() for urn in urns),
        }
        return {
            urn
            for urn in (*needed, self.parent, self.deleted_with, self.provider.rpartition("::")[0])
            if urn
        }

    def follows(self) -> set[str]:
        """URNs that the resource only follows (`depends_on`)."""
        return set(self.dependencies) - {
            urn for urns in self.property_dependencies.values() for urn in urns
        }


def decode_request(request: resource_pb2.RegisterResourceRequest) -> RegisterRequest:
    """Decode a registration; EngineError for unsupported features."""
    where = f"{request.type} {request.name!r}"
    if request.state_migrations:
        raise EngineError(
            f"{where} uses state migrations, which the embedded engine does not support. Use the "
            "Pulumi CLI."
        )
    if request.envVarMappings and not is_provider(request.type):
        raise EngineError(f"{where} has `env_var_mappings`, which only providers support.")
    timeouts = {
        key: _seconds(getattr(request.customTimeouts, key), where)
        for key in ("create", "update", "delete", "read")
        if getattr(request.customTimeouts, key)
    }
    return RegisterRequest(
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        remote=request.remote,
        inputs=from_struct(request.object, outputs=request.remote),
        protect=request.protect if request.HasField("protect") else None,
        dependencies=sorted(set(request.dependencies)),
        property_dependencies={
            key: sorted(set(item.urns)) for key, item in request.propertyDependencies.items()
        },
        provider=request.provider,
        providers=dict(request.providers),
        version=request.version,
        plugin_url=request.pluginDownloadURL,
        delete_before_replace=request.deleteBeforeReplace
        if request.deleteBeforeReplace or request.deleteBeforeReplaceDefined
        else None,
        ignore_changes=list(request.ignoreChanges),
        additional_secret_outputs=list(request.additionalSecretOutputs),
        alias_urns=list(request.aliasURNs),
        aliases=list(request.aliases),
        import_id=request.importId,
        timeouts=timeouts,
        replace_on_changes=list(request.replaceOnChanges),
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        deleted_with=request.deletedWith,
        replace_with=list(request.replace_with),
        replacement_trigger=from_value(request.replacement_trigger)
        if request.HasField("replacement_trigger")
        else None,
        hide_diff=list(request.hideDiffs),
        hooks=hook_names(request),
    )


def _seconds(text: str, where: str) -> float:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise EngineError(
            f"{where}: the custom timeout {text!r} is not a duration such as '10m' or '1h30m'."
        )
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
