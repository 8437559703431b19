"""Security context, resources and read-only mounts of a container for its runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.contracts.container_runtime import ContainerResources, ContainerSecurity
from sandbox.kubernetes.apimachinery.quantities import parse

_READ_ONLY_VOLUMES = ("configMap", "secret", "downwardAPI", "projected")


def security(pod: Mapping[str, Any], container: Mapping[str, Any]) -> ContainerSecurity:
    """Return the container's security context; its fields take precedence over the pod's."""
    of_pod = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    both = {**of_pod, **own}
    capabilities = own.get("capabilities") or {}
    groups = [*(of_pod.get("supplementalGroups") or ())]
    return ContainerSecurity(
        user=both.get("runAsUser"),
        group=both.get("runAsGroup"),
        groups=groups,
        volume_group=of_pod.get("fsGroup"),
        non_root=bool(both.get("runAsNonRoot")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        add=capabilities.get("add") or (),
        drop=capabilities.get("drop") or (),
    )


def resources(container: Mapping[str, Any]) -> ContainerResources:
    """Return requests and limits; a limit without a request is the request too."""
    parts = container.get("resources") or {}
    limits, requests = parts.get("limits") or {}, parts.get("requests") or {}
    cpu_limit = float(parse(limits.get("cpu", 0)))
    return ContainerResources(
        memory_bytes=int(parse(limits.get("memory", 0))),
        cpu_request=float(parse(requests.get("cpu", cpu_limit))),
        cpu_limit=cpu_limit,
    )


def read_only_mounts(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    """Return the mount paths that cannot be written: as declared, and those of stored objects."""
    stored = {
        volume["name"]
        for volume in pod["spec"].get("volumes") or ()
        if any(kind in volume for kind in _READ_ONLY_VOLUMES)
    }
    return [
        item["mountPath"].rstrip("/")
        for item in container.get("volumeMounts") or ()
        if item.get("readOnly") or item["name"] in stored
    ]
