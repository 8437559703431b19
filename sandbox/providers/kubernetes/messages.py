"""Messages and annotations of the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.providers.kubernetes import readiness
from sandbox.providers.kubernetes.client import ApiStatusError
from sandbox.providers.protocol import Resource


def annotations_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's annotations, if known."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return annotations if isinstance(annotations, Mapping) else {}


def timeout_of(resource: Resource, annotations: Mapping[str, Any]) -> float:
    """Return the seconds to wait for readiness."""
    seconds = str(annotations.get("pulumi.com/timeoutSeconds", ""))
    return float(seconds) if seconds.isdigit() else resource.timeout or readiness.DEFAULT_TIMEOUT


def refused_message(kind: Kind, document: Mapping[str, Any], failure: ApiStatusError) -> str:
    """Describe a refused write and its remedy."""
    name = document["metadata"].get("name", "")
    if failure.code == 409 and failure.reason == "Conflict" and "conflict" in str(failure):
        return (
            f"Server-Side Apply field conflict on {kind.kind} {name}: {failure}. Another field "
            "manager holds what would change: "
            "put the field into `ignore_changes`, or take it over with the annotation "
            "pulumi.com/patchForce."
        )
    return f"{kind.kind} {name} was refused by the API server: {status_message(failure)}"


def status_message(failure: ApiStatusError) -> str:
    """Describe an error response."""
    if failure.code == 401:
        return (
            "Unauthorized. The principal has no access entry in the EKS cluster, or its "
            "token is refused."
        )
    return str(failure)


def unreachable_message(error: Exception) -> str:
    """Describe an unreachable cluster and the remedy."""
    return (
        f"configured Kubernetes cluster is unreachable: {error}. If the cluster was deleted, "
        "remove its objects from the state "
        "by running the operation again with the environment variable "
        'PULUMI_K8S_DELETE_UNREACHABLE set to "true".'
    )
