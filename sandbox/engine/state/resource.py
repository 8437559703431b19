"""Resources and their names as a deployment's state holds them, in Pulumi's checkpoint format (versions 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.engine.state.property_paths import format_path
from sandbox.engine.state.property_values import Decrypter, Encrypter, Properties, from_state, to_state

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


def make_urn(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """Name a resource: its type is qualified by its ancestors' types, up to but not including the stack."""
    parent_type = urn_qualified_type(parent) if parent else ""
    qualified = f"{parent_type}${kind}" if parent_type and parent_type != STACK_TYPE else kind
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def urn_name(urn: str) -> str:
    """Return the logical name at the end of a URN."""
    return urn.split("::", 3)[3]


def urn_type(urn: str) -> str:
    """Return the resource's own type token."""
    return urn_qualified_type(urn).rsplit("$", 1)[-1]


def urn_qualified_type(urn: str) -> str:
    """Return the type with its ancestors, as it stands in the URN."""
    return urn.split("::", 3)[2]


def provider_package(kind: str) -> str:
    """Return the package that a type token needs a provider for: `aws` of `aws:s3/bucket:Bucket`."""
    return kind.removeprefix(PROVIDER_PREFIX) if is_provider(kind) else kind.split(":", 1)[0]


def is_provider(kind: str) -> bool:
    """Tell whether a type token is that of a provider resource."""
    return kind.startswith(PROVIDER_PREFIX)


def split_reference(reference: str) -> tuple[str, str]:
    """Split a provider reference into URN and id."""
    urn, _, identifier = reference.rpartition("::")
    return urn, identifier


@dataclass(slots=True)
class Resource:
    """One resource as the checkpoint records it; names are the checkpoint's, in Python spelling."""

    urn: str
    type: str
    custom: bool
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    id: str = ""
    delete: bool = False
    parent: str = ""
    protect: bool = False
    taint: bool = False
    external: bool = False
    dependencies: list[str] = field(default_factory=list)
    init_errors: list[str] = field(default_factory=list)
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""
    replace_with: list[str] = field(default_factory=list)
    replacement_trigger: Any = None
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    hide_diff: list[str] = field(default_factory=list)
    resource_hooks: dict[str, list[str]] = field(default_factory=dict)
    created: str = ""
    modified: str = ""
    source_position: str = ""
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The logical name."""
        return urn_name(self.urn)

    def needs(self) -> set[str]:
        """URNs that must exist before this resource and outlive it."""
        found = {*self.dependencies, *(urn for urns in self.property_dependencies.values() for urn in urns)}
        found |= {self.parent, self.deleted_with}
        if self.provider:
            found.add(split_reference(self.provider)[0])
        return found - {"", self.urn}

    def refers_to(self) -> set[str]:
        """URNs that must stand before this resource in the state."""
        return {*self.needs(), *self.replace_with} - {self.urn}

    def copy(self, **changes: Any) -> Resource:
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    def forget_missing(self, present: Set[str], parents: Mapping[str, str]) -> None:
        """Drop references to what isn't there any more; the nearest ancestor that is becomes the parent."""
        while self.parent and self.parent not in present:
            self.parent = parents.get(self.parent, "")
        self.dependencies = [urn for urn in self.dependencies if urn in present]
        self.property_dependencies = {
            key: left
            for key, urns in self.property_dependencies.items()
            if (left := [urn for urn in urns if urn in present])
        }
        self.replace_with = [urn for urn in self.replace_with if urn in present]
        if self.deleted_with not in present:
            self.deleted_with = ""

    def renamed(self, names: dict[str, str]) -> Resource:
        """Return the resource with every reference to a renamed URN following the new name."""
        if not names:
            return self

        def follow(urns: Iterable[str]) -> list[str]:
            return [names.get(urn, urn) for urn in urns]

        provider = self.provider
        if provider:
            urn, identifier = split_reference(provider)
            provider = f"{names.get(urn, urn)}::{identifier}"
        return self.copy(
            parent=names.get(self.parent, self.parent),
            dependencies=follow(self.dependencies),
            property_dependencies={key: follow(urns) for key, urns in self.property_dependencies.items()},
            deleted_with=names.get(self.deleted_with, self.deleted_with),
            replace_with=follow(self.replace_with),
            provider=provider,
        )


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """Return the resources with each behind what it refers to; what stands right already keeps its place."""
    given = list(resources)
    by_urn = {item.urn: item for item in sorted(given, key=lambda item: item.delete, reverse=True)}
    # Of several under one URN any will do, but the provider has to be the very one.
    providers = {f"{item.urn}::{item.id}": item for item in given if is_provider(item.type)}
    placed: list[Resource] = []
    entered: set[int] = set()
    names: set[str] = set()

    def place(resource: Resource) -> None:
        if id(resource) in entered:
            return
        entered.add(id(resource))
        wanted = [by_urn[urn] for urn in sorted(resource.refers_to() - names) if urn in by_urn]
        if resource.provider in providers:
            wanted.append(providers[resource.provider])
        for other in wanted:
            place(other)
        placed.append(resource)
        names.add(resource.urn)

    for resource in given:
        place(resource)
    return placed


# Field name in the checkpoint for each of our fields, in the order in which the checkpoint lists them.
_FIELDS = {
    "urn": "urn",
    "custom": "custom",
    "delete": "delete",
    "id": "id",
    "type": "type",
    "inputs": "inputs",
    "outputs": "outputs",
    "parent": "parent",
    "protect": "protect",
    "taint": "taint",
    "external": "external",
    "dependencies": "dependencies",
    "init_errors": "initErrors",
    "provider": "provider",
    "property_dependencies": "propertyDependencies",
    "pending_replacement": "pendingReplacement",
    "additional_secret_outputs": "additionalSecretOutputs",
    "custom_timeouts": "customTimeouts",
    "import_id": "importID",
    "retain_on_delete": "retainOnDelete",
    "deleted_with": "deletedWith",
    "replace_with": "replaceWith",
    "created": "created",
    "modified": "modified",
    "source_position": "sourcePosition",
    "ignore_changes": "ignoreChanges",
    "hide_diff": "hideDiff",
    "resource_hooks": "resourceHooks",
    "replace_on_changes": "replaceOnChanges",
    "replacement_trigger": "replacementTrigger",
}
# What makes a checkpoint one of version 4, which names the features that a reader must know: by the field that uses it.
_FEATURES = {
    "refreshBeforeUpdate": "refreshBeforeUpdate", "replaceWith": "replaceWith", "resourceHooks": "hooks",
    "taint": "taint", "viewOf": "views",
}  # fmt: skip
_SEALED = frozenset({"inputs", "outputs", "replacement_trigger"})  # fields that may hold secrets
_ALWAYS = frozenset({"urn", "custom", "type"})


def features_used(states: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the features that resources in the checkpoint's JSON use."""
    return sorted({name for state in states for field, name in _FEATURES.items() if state.get(field)})


def unknown_features(document: Mapping[str, Any]) -> list[str]:
    """Features that a checkpoint or an export names and this engine doesn't have."""
    return sorted(set(document.get("features") or []) - set(_FEATURES.values()))


def resource_to_state(resource: Resource, encrypter: Encrypter | None) -> dict[str, Any]:
    """Return the checkpoint's JSON for one resource."""
    state: dict[str, Any] = {}
    for ours, theirs in _FIELDS.items():
        value = getattr(resource, ours)
        if value or ours in _ALWAYS:
            state[theirs] = to_state(value, encrypter) if ours in _SEALED else value
    return state | resource.rest


def resource_from_state(state: dict[str, Any], decrypter: Decrypter) -> Resource:
    """Read one resource; fields that the engine doesn't use are carried along unchanged."""
    known = {
        ours: from_state(state[theirs], decrypter) if ours in _SEALED else state[theirs]
        for ours, theirs in _FIELDS.items()
        if state.get(theirs) is not None
    }
    # Earlier states of this engine hold these paths in parts, which the CLI can't read.
    known["hide_diff"] = [item if isinstance(item, str) else format_path(item) for item in known.get("hide_diff", ())]
    rest = {key: value for key, value in state.items() if key not in _FIELDS.values()}
    rest.pop("aliases", None)  # normalized away whenever state is written
    return Resource(**known, rest=rest)
