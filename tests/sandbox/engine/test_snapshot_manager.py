"""Checkpoint of an operation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from sandbox.engine.state.backend import Backend
from sandbox.engine.state.resource import Resource
from sandbox.engine.state.secrets_providers import Secrets
from sandbox.engine.state.snapshot_manager import SnapshotManager


class MemoryBackend:
    """Keeps the last checkpoint that was written."""

    def __init__(self) -> None:
        self.text = "{}"

    def exists(self, project: str, stack: str) -> bool:
        """Report a new stack."""
        return False

    def write(self, project: str, stack: str, text: str, *args: object, **kwargs: object) -> None:
        """Store a checkpoint."""
        self.text = text


class PlainSecrets:
    """Encrypts nothing."""

    state = "v1"
    provider: Mapping[str, Any] = {"type": "passphrase", "state": {"salt": "v1"}}


def thing(name: str) -> Resource:
    return Resource(
        f"urn:pulumi:dev::demo::kit:index:Thing::{name}", "kit:index:Thing", custom=True
    )


def test_replaced_resource_does_not_overwrite_a_later_one() -> None:
    """After an import, Python may give the identity of the replaced object to the next one."""
    backend = MemoryBackend()
    secrets = cast("Callable[[Mapping[str, Any]], Secrets]", lambda state: PlainSecrets())
    snapshot = SnapshotManager(cast("Backend", backend), "demo", "dev", secrets, read_only=False)
    for number in range(50):
        snapshot.put(thing(f"imported-{number}"))
        snapshot.put(thing(f"a-{number}"), replacing=snapshot.resources()[-1])
        snapshot.put(thing(f"b-{number}"))
    names = {
        resource["urn"].rpartition("::")[2] for resource in json.loads(backend.text)["resources"]
    }
    assert names == {f"{kind}-{number}" for kind in "ab" for number in range(50)}
