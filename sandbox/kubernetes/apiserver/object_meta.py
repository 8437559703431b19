"""Metadata of objects: times, generated names, namespaces, preconditions, finalizers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.storage.object_store import Json

_CONSONANTS = "bcdfghjklmnpqrstvwxz2456789"


def now(later_seconds: int = 0) -> str:
    """Return the current UTC time, or a later one, as Kubernetes formats it, in seconds."""
    return (datetime.now(UTC) + timedelta(seconds=later_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix(length: int = 5) -> str:
    """Return a suffix as `generateName` appends it."""
    return "".join(secrets.choice(_CONSONANTS) for _ in range(length))


def set_namespace(kind: Kind, metadata: Json, namespace: str) -> None:
    """Set the namespace of the URL, which must match that of the object."""
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_preconditions(kind: Kind, live: Json, preconditions: Mapping[str, Any]) -> None:
    """Refuse a delete whose preconditions do not hold."""
    for name, key, reason in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        stated, actual = preconditions.get(name), live["metadata"][name]
        if stated and stated != actual:
            error = errors.conflict(
                kind,
                live["metadata"]["name"],
                f"the {key} in the precondition ({stated}) does not match the {key} in record "
                f"({actual}). The object might have been {reason}",
            )
            error.message = error.message.replace(kind.group_resource, kind.kind, 1)
            error.details = {"name": live["metadata"]["name"], "kind": kind.kind}
            raise error


def finalizers_of(kind: Kind, document: Json) -> list[str]:
    """Return the finalizers; for a namespace, those of its spec too."""
    finalizers = list(document["metadata"].get("finalizers") or ())
    if kind.kind == "Namespace":
        finalizers += document.get("spec", {}).get("finalizers") or []
    return finalizers


def is_unchanged(new: Json, live: Json) -> bool:
    """Compare two states without the times of managedFields."""

    def content(document: Json) -> Json:
        managed = [
            {k: v for k, v in entry.items() if k != "time"}
            for entry in document["metadata"].get("managedFields") or ()
        ]
        return {**document, "metadata": {**document["metadata"], "managedFields": managed}}

    return content(new) == content(live)


def without_nulls(value: Any) -> Any:
    """Copy a document without nulls, which Kubernetes treats as absent."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
