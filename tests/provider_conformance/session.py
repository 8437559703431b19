"""One provider with a namespace of its own; each operation returns what a case compares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.runtime.proto import provider_pb2 as pb

from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Made

Json = dict[str, Any]
Observation = dict[str, Any]

_CHANGES = {value: name for name, value in pb.DiffResponse.DiffChanges.items()}
_KINDS = {value: name for name, value in pb.PropertyDiff.Kind.items()}
# Values that the API server or the provider generates.
_GENERATED = {
    "clusterIP",
    "clusterIPs",
    "creationTimestamp",
    "generation",
    "managedFields",
    "nodePort",
    "resourceVersion",
    "selfLink",
    "status",
    "uid",
    "volumeName",
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
    "deletionTimestamp",
}
_GENERATED_ANNOTATIONS = {"deployment.kubernetes.io/revision", "pulumi.com/autonamed"}
_SUFFIX = re.compile(r"-[0-9a-z]{8}$")


def _typed(token: str, inputs: Json) -> Json:
    """Return inputs as the SDK sends them, with API version and kind."""
    group_version, kind = token.removeprefix("kubernetes:").split(":")
    version = group_version.removeprefix("core/")
    return {"apiVersion": version, "kind": kind, **inputs}


@dataclass
class Session:
    """Operations of an engine on one provider."""

    client: Client
    namespace: str

    def object(self, name: str = "web", metadata: Json | None = None, **fields: Any) -> Json:
        """Return inputs of an object in the session's namespace."""
        return {
            "metadata": {"name": name, "namespace": self.namespace, **(metadata or {})},
            **fields,
        }

    def check(self, kind: str, inputs: Json, olds: Json | None = None) -> Observation:
        """Return the checked inputs or the properties that failed."""
        try:
            checked = self.client.check(kind, "main", _typed(kind, inputs), olds)
        except CheckFailed as failed:
            return {"failures": sorted(line.partition(":")[0] for line in str(failed).splitlines())}
        except Failed:
            return {"failed": True}
        return {"inputs": self._public(checked)}

    def preview(self, kind: str, inputs: Json) -> Observation:
        """Return what a preview plans to create."""
        try:
            return {
                "planned": self._public(self.client.preview(kind, "main", _typed(kind, inputs)))
            }
        except (CheckFailed, Failed):
            return {"failed": True}

    def create(self, kind: str, inputs: Json) -> tuple[Observation, Made | None]:
        """Create and await an object."""
        try:
            created = self.client.create(kind, "main", _typed(kind, inputs))
        except CheckFailed:
            return {"failed": True}, None
        except Failed as failed:
            return self._failure(failed), None
        return self._made(created), created

    def diff(self, made: Made, inputs: Json, ignore: Sequence[str] = ()) -> Observation:
        """Compare new inputs with the state."""
        try:
            difference, _ = self.client.diff(made, _typed(made.type, inputs), ignore)
        except (CheckFailed, Failed):
            return {"failed": True}
        return {
            "changes": _CHANGES[difference.changes],
            "replaces": sorted({re.split(r"[.\[]", path)[0] for path in difference.replaces}),
            "delete_before_replace": difference.deleteBeforeReplace,
            "detailed": {
                path: _KINDS[entry.kind] for path, entry in sorted(difference.detailedDiff.items())
            },
        }

    def update(
        self, made: Made, inputs: Json, ignore: Sequence[str] = ()
    ) -> tuple[Observation, Made | None]:
        """Update and await an object."""
        try:
            updated = self.client.update(made, _typed(made.type, inputs), ignore=ignore)
        except CheckFailed:
            return {"failed": True}, None
        except Failed as failed:
            return self._failure(failed), None
        return self._made(updated), updated

    def read(self, made: Made) -> tuple[Observation, Made | None]:
        """Refresh an object."""
        try:
            result = self.client.read(made)
        except Failed as failed:
            return self._failure(failed), None
        return ({"found": False}, None) if result is None else (self._made(result), result)

    def import_(self, kind: str, name: str) -> Observation:
        """Read an object by its ID only."""
        try:
            result = self.client.import_(kind, "main", f"{self.namespace}/{name}")
        except Failed as failed:
            return self._failure(failed)
        return {"found": False} if result is None else self._made(result)

    def delete(self, made: Made) -> Observation:
        """Delete an object and await its end."""
        try:
            self.client.delete(made)
        except Failed as failed:
            return self._failure(failed)
        return {"deleted": True}

    def _failure(self, failed: Failed) -> Observation:
        partial = failed.partial
        if partial is None:
            return {"failed": True}
        return {"failed": True, "kept": self._text(partial.id), "reasons": bool(partial.reasons)}

    def _made(self, made: Made) -> Observation:
        return {
            "id": self._text(made.id),
            "inputs": self._public(made.inputs),
            "state": self._public(made.state),
            "secret": sorted({str(path[0]) for path in made.secrets} - {"__inputs"}),
        }

    def _public(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._public(inner)
                for key, inner in sorted(value.items())
                if not key.startswith("__")
                and key not in _GENERATED
                and key not in _GENERATED_ANNOTATIONS
                and not (key == "annotations" and set(inner) <= _GENERATED_ANNOTATIONS)
            }
        if isinstance(value, list):
            return [self._public(inner) for inner in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        return _SUFFIX.sub("-SUFFIX", text.replace(self.namespace, "NAMESPACE"))
