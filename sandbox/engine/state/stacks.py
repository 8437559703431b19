"""Looking into stacks without running anything: listing, outputs, export and import of the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.engine.errors import EngineError, UsageError, WrongPassphraseError
from sandbox.engine.state.backend import Backend, malformed
from sandbox.engine.state.passphrase import PassphraseSecrets
from sandbox.engine.state.property_values import (
    SECRET,
    SIGNATURE,
    Properties,
    dumps,
    from_state,
    loads,
    masked,
    plain,
    to_state,
)
from sandbox.engine.state.resource import STACK_TYPE, Resource, features_used, resource_from_state, unknown_features


def list_stacks(backend: Path, project: str) -> list[str]:
    """Names of the project's stacks that have been made, sorted."""
    return Backend(backend).stacks(project)


def stack_outputs(
    backend: Path, project: str, stack: str, passphrase: str, *, show_secrets: bool = False
) -> dict[str, Any]:
    """The stack's outputs; secret ones read `[secret]` unless they are asked for."""
    deployment = Backend(backend).read(project, stack)
    for item in deployment.get("resources") or []:
        if item["type"] == STACK_TYPE:
            resource: Resource = resource_from_state({**item, "inputs": {}}, _secrets(deployment, passphrase))
            return dict(plain(resource.outputs) if show_secrets else masked(resource.outputs))
    return {}


def referenced_outputs(backend: Path, project: str, name: str, passphrase: str) -> Properties:
    """The outputs of the stack that a stack reference names, secrets marked; EngineError if there is none."""
    for resource in _referenced(backend, project, name, passphrase):
        if resource.type == STACK_TYPE:
            return resource.outputs
    return {}


def referenced_resources(backend: Path, project: str, name: str, passphrase: str) -> Properties:
    """Type and outputs of each resource of the stack that a stack reference names, by URN."""
    found = _referenced(backend, project, name, passphrase)
    return {item.urn: {"type": item.type, "outputs": item.outputs} for item in found if not item.delete}


def _referenced(backend: Path, project: str, name: str, passphrase: str) -> Iterator[Resource]:
    parts = name.split("/")
    if not all(parts) or len(parts) > 3 or (len(parts) > 1 and parts[0] != "organization"):
        raise EngineError(
            f"{name!r} names no stack of this backend: it must be STACK, or organization/PROJECT/STACK "
            "with the very word `organization`."
        )
    project, stack = parts[1] if len(parts) == 3 else project, parts[-1]
    store = Backend(backend)
    if not store.exists(project, stack):
        known = ", ".join(store.stacks(project)) or "none"
        raise EngineError(f"There is no stack {name!r} in this backend (stacks of project {project!r}: {known}).")
    deployment = store.read(project, stack)
    try:
        secrets = _secrets(deployment, passphrase)
    except WrongPassphraseError as error:
        raise EngineError(
            f"The outputs of stack {name!r} can't be read: its secrets were sealed with another passphrase than this "
            "stack's. Both need the same one."
        ) from error
    for item in deployment.get("resources") or []:
        yield resource_from_state({**item, "inputs": {}}, secrets)


def export_stack(
    backend: Path, project: str, stack: str, passphrase: str, *, show_secrets: bool = False
) -> dict[str, Any]:
    """The document that `pulumi stack export` prints; secrets stay sealed unless they are asked for."""
    deployment = Backend(backend).read(project, stack)
    if show_secrets and deployment:
        secrets = _secrets(deployment, passphrase)
        deployment = to_state(from_state(deployment, secrets), None)
    features = features_used(deployment.get("resources") or [])
    return (
        {"version": 4, "features": features, "deployment": deployment}
        if features
        else {"version": 3, "deployment": deployment}
    )


def import_stack(backend: Path, project: str, stack: str, passphrase: str, document: Mapping[str, Any]) -> None:
    """Put an exported document in the stack's place; UsageError if it isn't one or belongs to another stack."""
    deployment = document.get("deployment")
    if document.get("version") not in (3, 4) or not isinstance(deployment, dict):
        raise UsageError(
            "This is no exported stack: it must be a JSON object with `version` 3 or 4 and a `deployment`."
        )
    if wrong := malformed(deployment):
        raise UsageError(f"This is no exported stack: {wrong}.")
    if unknown := unknown_features(document):
        raise UsageError(f"The exported state uses {', '.join(unknown)}, which this engine doesn't have.")
    prefix = f"urn:pulumi:{stack}::{project}::"
    foreign = [item["urn"] for item in deployment.get("resources") or [] if not item["urn"].startswith(prefix)]
    if foreign:
        raise UsageError(f"The exported state is of another stack: {foreign[0]} is not of {project}/{stack}.")
    store = Backend(backend)
    secrets = _secrets(deployment, passphrase)
    sealed = _sealed(deployment, secrets)
    sealed["secrets_providers"] = {"type": "passphrase", "state": {"salt": secrets.state}}
    with store.lock(project, stack):
        store.backup(project, stack)
        store.write(project, stack, dumps(sealed), features_used(sealed.get("resources") or []), keep_backup=True)


def _secrets(deployment: Mapping[str, Any], passphrase: str) -> PassphraseSecrets:
    provider = deployment.get("secrets_providers") or {}
    if provider and provider.get("type") != "passphrase":
        raise EngineError(
            f"The state uses the secrets provider {provider.get('type')!r}; only `passphrase` is supported."
        )
    return PassphraseSecrets(passphrase, (provider.get("state") or {}).get("salt"))


def _sealed(value: Any, secrets: PassphraseSecrets) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            text = value["plaintext"] if "plaintext" in value else secrets.decrypt(value["ciphertext"])
            return {SIGNATURE: SECRET, "ciphertext": secrets.encrypt(dumps(_sealed(loads(text), secrets)))}
        return {key: _sealed(item, secrets) for key, item in value.items()}
    return [_sealed(item, secrets) for item in value] if isinstance(value, list) else value
