"""Directories of a pod's volumes: emptyDir, configMap, secret, downwardAPI, projected, hostPath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.contracts.container_runtime import ContainerError
from sandbox.kubernetes.kubelet.environment import GetObject, field_value, object_data


class VolumeError(Exception):
    """A volume cannot be mounted yet; the message is the kubelet's."""


def mount(pod: Mapping[str, Any], directory: Path, get_object: GetObject) -> dict[str, Path]:
    """Create the volumes below `directory` and return their paths by name. Raises VolumeError."""
    paths = {}
    for volume in pod["spec"].get("volumes") or ():
        path = directory / volume["name"]
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        try:
            for name, content, mode in _files(pod, volume, get_object):
                _write(path / name, content, mode)
        except ContainerError as error:
            raise VolumeError(
                f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error.message}'
            ) from None
        paths[volume["name"]] = path
    return paths


def container_mounts(container: Mapping[str, Any], volumes: Mapping[str, Path]) -> dict[str, Path]:
    """Return the real path of each mount path of a container."""
    mounts = {}
    for item in container.get("volumeMounts") or ():
        path = volumes[item["name"]]
        mounts[item["mountPath"].rstrip("/")] = path / item.get("subPath", "")
    return mounts


def _files(
    pod: Mapping[str, Any], volume: Mapping[str, Any], get_object: GetObject
) -> Iterator[tuple[str, bytes, int]]:
    sources = (volume.get("projected") or {}).get("sources") or [volume]
    namespace = pod["metadata"]["namespace"]
    for source in sources:
        for part, resource in (("configMap", "configmaps"), ("secret", "secrets")):
            if item := source.get(part):
                name = item.get("name") or item.get("secretName", "")
                yield from _object_files(resource, namespace, name, item, get_object)
        if item := source.get("downwardAPI"):
            for entry in item.get("items") or ():
                if "fieldRef" in entry:
                    value = field_value(pod, entry["fieldRef"]["fieldPath"])
                    yield entry["path"], value.encode(), 0o644
        if "serviceAccountToken" in source:
            raise ContainerError(
                "FailedMount",
                "the sandbox issues no service account tokens; use EKS Pod Identity for AWS",
            )


def _object_files(
    resource: str,
    namespace: str,
    name: str,
    source: Mapping[str, Any],
    get_object: GetObject,
) -> Iterator[tuple[str, bytes, int]]:
    # Each namespace of a real cluster contains it; the sandbox does not create it.
    optional = source.get("optional") or name == "kube-root-ca.crt"
    document = get_object(resource, namespace, name)
    if document is None:
        if optional:
            return
        raise ContainerError("FailedMount", f'{resource.removesuffix("s")} "{name}" not found')
    data, default_mode = object_data(document), source.get("defaultMode") or 0o644
    if not source.get("items"):
        for key, value in data.items():
            yield key, value, default_mode
    for item in source.get("items") or ():
        if item["key"] in data:
            yield item["path"], data[item["key"]], item.get("mode") or default_mode
        elif not optional:
            raise ContainerError(
                "FailedMount", f"references non-existent config key: {item['key']}"
            )


def _write(path: Path, content: bytes, mode: int) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.chmod(mode)
    temporary.replace(path)
