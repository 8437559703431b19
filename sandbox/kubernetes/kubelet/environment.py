"""Environment variables of a container: values, fields of the pod, config maps and secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.contracts.container_runtime import ContainerError
from sandbox.kubernetes.apimachinery.quantities import parse
from sandbox.kubernetes.storage.object_store import Json

# Takes group resource, namespace and name; returns the object or None.
GetObject = Callable[[str, str, str], Json | None]

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]\Z")


def resolve(
    pod: Mapping[str, Any], container: Mapping[str, Any], get_object: GetObject
) -> dict[str, str]:
    """Return the variables. Raises ContainerError (CreateContainerConfigError)."""
    namespace = pod["metadata"]["namespace"]
    variables: dict[str, str] = {}
    for entry in container.get("envFrom") or ():
        prefix = entry.get("prefix", "")
        for part, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if reference := entry.get(part):
                data = _data(resource, namespace, reference, get_object)
                variables |= {f"{prefix}{key}": _text(value) for key, value in data.items()}
    for entry in container.get("env") or ():
        source = entry.get("valueFrom")
        if source is None:
            variables[entry["name"]] = expand(entry.get("value", ""), variables)
            continue
        value = _value(pod, container, source, get_object)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value; $$ escapes, and unknown names stay."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replacement, text)


def field_value(pod: Mapping[str, Any], path: str) -> str:
    """Return a field of a pod as the downward API does; "" if it is not set."""
    if keyed := _KEYED_FIELD.match(path):
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed[2], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        items = pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(items.items()))
    node: Any = pod
    for part in path.split("."):
        node = (node or {}).get(part)
    return "" if node is None else str(node)


def object_data(document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the decoded data of a ConfigMap or Secret."""
    encoded = document["kind"] == "Secret"
    data = {
        key: base64.b64decode(value) if encoded else value.encode()
        for key, value in (document.get("data") or {}).items()
    }
    return data | {
        key: base64.b64decode(value) for key, value in (document.get("binaryData") or {}).items()
    }


def _value(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    source: Mapping[str, Any],
    get_object: GetObject,
) -> str | None:
    if reference := source.get("fieldRef"):
        return field_value(pod, reference["fieldPath"])
    if reference := source.get("resourceFieldRef"):
        return _resource(container, reference)
    for part, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if reference := source.get(part):
            namespace = pod["metadata"]["namespace"]
            data = _data(resource, namespace, reference, get_object)
            if reference["key"] in data:
                return _text(data[reference["key"]])
            if reference.get("optional"):
                return None
            title = "ConfigMap" if resource == "configmaps" else "Secret"
            raise ContainerError(
                "CreateContainerConfigError",
                f"couldn't find key {reference['key']} in {title} {namespace}/{reference['name']}",
            )
    return None


def _data(
    resource: str, namespace: str, reference: Mapping[str, Any], get_object: GetObject
) -> dict[str, bytes]:
    document = get_object(resource, namespace, reference.get("name", ""))
    if document is not None:
        return object_data(document)
    if reference.get("optional"):
        return {}
    raise ContainerError(
        "CreateContainerConfigError",
        f'{resource.removesuffix("s")} "{reference.get("name", "")}" not found',
    )


def _resource(container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    group, _, name = reference["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(group) or {}).get(name, "0")
    divisor = reference.get("divisor") or "1"
    if divisor == "0":
        divisor = "1"
    return str(-(-int(parse(amount) * 1000) // int(parse(divisor) * 1000)))


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
