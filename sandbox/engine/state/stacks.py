"""Reads stacks without an operation: listing, outputs, export and import of the state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.engine.errors import EngineError, UsageError, WrongPassphraseError
from sandbox.engine.state.backend import Location, open_backend, validate_deployment
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
from sandbox.engine.state.resource import (
    STACK_TYPE,
    Resource,
    features_used,
    resource_from_state,
    unknown_features,
)
from sandbox.engine.state.secrets_providers import Secrets, secrets_of_file, secrets_of_state


class _NoSecrets:
    """Reads every secret as null: deriving the key takes longer than all else."""

    def decrypt(self, ciphertext: str) -> str:
        """Return the JSON of null."""
        del ciphertext
        return "null"


def list_stacks(backend: Location, project: str) -> list[str]:
    """Return the names of the project's stacks, sorted."""
    return open_backend(backend).stacks(project)


def stack_outputs(
    backend: Location,
    project: str,
    stack: str,
    passphrase: str | None,
    *,
    show_secrets: bool = False,
) -> dict[str, Any]:
    """Return the stack's outputs; secrets are masked unless `show_secrets`, and not decrypted."""
    deployment = open_backend(backend).read(project, stack)
    for item in deployment.get("resources") or []:
        if item["type"] == STACK_TYPE:
            secrets = _secrets(deployment, passphrase) if show_secrets else _NoSecrets()
            outputs = resource_from_state({**item, "inputs": {}}, secrets).outputs
            return dict(plain(outputs) if show_secrets else masked(outputs))
    return {}


def referenced_outputs(
    backend: Location, project: str, name: str, passphrase: str | None
) -> Properties:
    """Return the outputs of a referenced stack, with secrets; EngineError if it does not exist."""
    for resource in _referenced(backend, project, name, passphrase):
        if resource.type == STACK_TYPE:
            return resource.outputs
    return {}


def referenced_resources(
    backend: Location, project: str, name: str, passphrase: str | None
) -> Properties:
    """Return type and outputs of each resource of a referenced stack, by URN."""
    resources = _referenced(backend, project, name, passphrase)
    return {
        item.urn: {"type": item.type, "outputs": item.outputs}
        for item in resources
        if not item.delete
    }


def _referenced(
    backend: Location, project: str, name: str, passphrase: str | None
) -> Iterator[Resource]:
    parts = name.split("/")
    if not all(parts) or len(parts) > 3 or (len(parts) > 1 and parts[0] != "organization"):
        raise EngineError(
            f"{name!r} is not a stack of this backend: the format is STACK or "
            "organization/PROJECT/STACK, with the literal `organization`."
        )
    project, stack = parts[1] if len(parts) == 3 else project, parts[-1]
    store = open_backend(backend)
    if not store.exists(project, stack):
        stacks = ", ".join(store.stacks(project)) or "none"
        raise EngineError(
            f"There is no stack {name!r} in this backend (stacks of project {project!r}: {stacks})."
        )
    deployment = store.read(project, stack)
    try:
        secrets = _secrets(deployment, passphrase)
    except WrongPassphraseError as error:
        raise EngineError(
            f"The outputs of stack {name!r} are unreadable: its secrets use another passphrase "
            "than this stack's. Both stacks must use the same one."
        ) from error
    for item in deployment.get("resources") or []:
        yield resource_from_state({**item, "inputs": {}}, secrets)


def export_stack(
    backend: Location,
    project: str,
    stack: str,
    passphrase: str | None,
    *,
    show_secrets: bool = False,
) -> dict[str, Any]:
    """Return the document of `pulumi stack export`; `show_secrets` decrypts secrets."""
    deployment = open_backend(backend).read(project, stack)
    if show_secrets and deployment:
        secrets = _secrets(deployment, passphrase)
        deployment = to_state(from_state(deployment, secrets), None)
    features = features_used(deployment.get("resources") or [])
    return (
        {"version": 4, "features": features, "deployment": deployment}
        if features
        else {"version": 3, "deployment": deployment}
    )


def import_stack(
    backend: Location,
    project: str,
    stack: str,
    passphrase: str | None,
    document: Mapping[str, Any],
    secrets_provider: str | None = None,
) -> None:
    """Replace the stack's state by an exported document, or by a copy of a checkpoint.

    Its secrets keep their provider, or get a new data key of `secrets_provider`.
    UsageError if it is not one of this stack.
    """
    deployment = document.get("deployment")
    if isinstance(checkpoint := document.get("checkpoint"), dict):
        deployment = checkpoint.get("latest")
    if document.get("version") not in (3, 4) or not isinstance(deployment, dict):
        raise UsageError(
            "This is not an exported stack: a JSON object with `version` 3 or 4 and a "
            "`deployment` is expected."
        )
    if problem := validate_deployment(deployment):
        raise UsageError(f"This is not an exported stack: {problem}.")
    if unknown := unknown_features(document):
        raise UsageError(
            f"The exported state uses {', '.join(unknown)}, which this engine does not support."
        )
    prefix = f"urn:pulumi:{stack}::{project}::"
    foreign = [
        item["urn"]
        for item in deployment.get("resources") or []
        if not item["urn"].startswith(prefix)
    ]
    if foreign:
        raise UsageError(
            f"The exported state is of another stack: {foreign[0]} does not belong to "
            f"{project}/{stack}."
        )
    store = open_backend(backend)
    old = _secrets(deployment, passphrase)
    new = secrets_of_file(secrets_provider, None, None, passphrase) if secrets_provider else old
    encrypted = _encrypt(deployment, old, new)
    encrypted["secrets_providers"] = new.provider
    with store.lock(project, stack):
        store.backup(project, stack)
        store.write(
            project,
            stack,
            dumps(encrypted),
            features_used(encrypted.get("resources") or []),
        )


def _secrets(deployment: Mapping[str, Any], passphrase: str | None) -> Secrets:
    return secrets_of_state(deployment, passphrase) or PassphraseSecrets(passphrase)


def _encrypt(value: Any, old: Secrets, new: Secrets) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            text = value["plaintext"] if "plaintext" in value else old.decrypt(value["ciphertext"])
            return {
                SIGNATURE: SECRET,
                "ciphertext": new.encrypt(dumps(_encrypt(loads(text), old, new))),
            }
        return {key: _encrypt(item, old, new) for key, item in value.items()}
    return [_encrypt(item, old, new) for item in value] if isinstance(value, list) else value
