"""Resources and URNs of a deployment's state, in Pulumi's checkpoint format (versions 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.engine.state.property_paths import format_path
from sandbox.engine.state.property_values import (
    Decrypter,
    Encrypter,
    Properties,
    Secret,
    from_state,
    secret,
    to_state,
)

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"


def make_urn(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """Return a URN; its type is qualified by the ancestors' types below the stack."""
    parent_type = urn_qualified_type(parent) if parent else ""
    qualified = f"{parent_type}${kind}" if parent_type and parent_type != STACK_TYPE else kind
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def urn_name(urn: str) -> str:
    """Return the logical name of a URN."""
    return urn.split("::", 3)[3]


def urn_type(urn: str) -> str:
    """Return the type token of a URN."""
    return urn_qualified_type(urn).rsplit("$", 1)[-1]


def urn_qualified_type(urn: str) -> str:
    """Return the qualified type of a URN."""
    return urn.split("::", 3)[2]


def provider_package(kind: str) -> str:
    """Return the package of a type token: `aws` for `aws:s3/bucket:Bucket`."""
    return kind.removeprefix(PROVIDER_PREFIX) if is_provider(kind) else kind.split(":", 1)[0]


def is_provider(kind: str) -> bool:
    """Whether a type token is a provider's."""
    return kind.startswith(PROVIDER_PREFIX)


def is_default_provider(urn: str) -> bool:
    """Whether the URN is a default provider's, which displays and counts leave out."""
    return is_provider(urn_type(urn)) and urn_name(urn).startswith("default")


def split_reference(reference: str) -> tuple[str, str]:
    """Split a provider reference into URN and ID."""
    urn, _, identifier = reference.rpartition("::")
    return urn, identifier


@dataclass(slots=True)
class Resource:
    """A resource of the checkpoint; fields are the checkpoint's, in Python spelling."""

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

    def depends_on(self) -> set[str]:
        """Return the URNs that this resource names as dependencies or is deleted with."""
        dependencies = {
            *self.dependencies,
            *(urn for urns in self.property_dependencies.values() for urn in urns),
        }
        return (dependencies | {self.deleted_with}) - {"", self.urn}

    def needs(self) -> set[str]:
        """Return the URNs that must exist before this resource and be deleted after it."""
        dependencies = self.depends_on() | {self.parent}
        if self.provider:
            dependencies.add(split_reference(self.provider)[0])
        return dependencies - {"", self.urn}

    def refers_to(self) -> set[str]:
        """Return the URNs that must precede this resource in the state."""
        return {*self.needs(), *self.replace_with} - {self.urn}

    def mark_secret_outputs(self) -> None:
        """Make outputs secret that the program declares so or whose input is secret."""
        hidden = {key for key, value in self.inputs.items() if isinstance(value, Secret)}
        hidden |= set(self.additional_secret_outputs)
        self.outputs = {
            key: secret(value) if key in hidden else value for key, value in self.outputs.items()
        }

    def copy(self, **changes: Any) -> Resource:
        """Return a copy with changed fields."""
        return replace(self, **changes)

    def forget_missing(self, present: Set[str]) -> None:
        """Remove references to missing resources."""
        if self.parent not in present:
            self.parent = ""
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
        """Return the resource with its references to renamed URNs updated."""
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
            property_dependencies={
                key: follow(urns) for key, urns in self.property_dependencies.items()
            },
            deleted_with=names.get(self.deleted_with, self.deleted_with),
            replace_with=follow(self.replace_with),
            provider=provider,
        )


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """Return the resources after what they refer to; otherwise the order is stable."""
    unordered = list(resources)
    by_urn = {
        item.urn: item for item in sorted(unordered, key=lambda item: item.delete, reverse=True)
    }
    # For duplicate URNs any resource satisfies the order, except for providers.
    providers = {f"{item.urn}::{item.id}": item for item in unordered if is_provider(item.type)}
    placed: list[Resource] = []
    entered: set[int] = set()
    names: set[str] = set()

    def place(resource: Resource) -> None:
        if id(resource) in entered:
            return
        entered.add(id(resource))
        prerequisites = [
            by_urn[urn] for urn in sorted(resource.refers_to() - names) if urn in by_urn
        ]
        if resource.provider in providers:
            prerequisites.append(providers[resource.provider])
        for other in prerequisites:
            place(other)
        placed.append(resource)
        names.add(resource.urn)

    for resource in unordered:
        place(resource)
    return placed


# The checkpoint's name of each field, in the checkpoint's order.
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
# Fields that require checkpoint version 4, and the feature that a reader must support.
_FEATURES = {
    "refreshBeforeUpdate": "refreshBeforeUpdate",
    "replaceWith": "replaceWith",
    "resourceHooks": "hooks",
    "taint": "taint",
    "viewOf": "views",
}
_MAY_HOLD_SECRETS = frozenset(
    {"inputs", "outputs", "replacement_trigger"}
)  # fields that may contain secrets
_ALWAYS = frozenset({"urn", "custom", "type"})


def features_used(states: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the features that the checkpoint's resources use."""
    return sorted(
        {name for state in states for field, name in _FEATURES.items() if state.get(field)}
    )


def unknown_features(document: Mapping[str, Any]) -> list[str]:
    """Return the features of a checkpoint that this engine does not support."""
    return sorted(set(document.get("features") or []) - set(_FEATURES.values()))


def resource_to_state(resource: Resource, encrypter: Encrypter | None) -> dict[str, Any]:
    """Return a resource as JSON of the checkpoint."""
    state: dict[str, Any] = {}
    for ours, theirs in _FIELDS.items():
        value = getattr(resource, ours)
        if value or ours in _ALWAYS:
            state[theirs] = to_state(value, encrypter) if ours in _MAY_HOLD_SECRETS else value
    return state | resource.rest


def resource_from_state(state: dict[str, Any], decrypter: Decrypter) -> Resource:
    """Read a resource; unused fields are preserved."""
    fields = {
        ours: from_state(state[theirs], decrypter) if ours in _MAY_HOLD_SECRETS else state[theirs]
        for ours, theirs in _FIELDS.items()
        if state.get(theirs) is not None
    }
    # Older states of this engine store lists, which the CLI cannot read.
    fields["hide_diff"] = [
        item if isinstance(item, str) else format_path(item) for item in fields.get("hide_diff", ())
    ]
    rest = {key: value for key, value in state.items() if key not in _FIELDS.values()}
    rest.pop("aliases", None)  # normalized when state is written
    return Resource(**fields, rest=rest)
