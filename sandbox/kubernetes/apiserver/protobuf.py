"""Decodes the requests that kubectl 1.33 and later send as protobuf.

These are `auth can-i`, `create namespace`, eviction and others; clients send JSON otherwise. Field
numbers are those of Kubernetes' .proto files. A field that is not in the tables is refused by
number unless it is empty.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors

MAGIC = b"k8s\x00"
# A message is {number: (field, type)}; types are str, int, bool, bytes, "map", "bytes map",
# "strings", "messages:X" and X.
_Message = Mapping[int, tuple[str, str]]
_MESSAGES: Mapping[str, _Message] = {
    "TypeMeta": {1: ("apiVersion", "str"), 2: ("kind", "str")},
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "bytes")},
    "ObjectMeta": {
        1: ("name", "str"), 2: ("generateName", "str"), 3: ("namespace", "str"), 5: ("uid", "str"),
        6: ("resourceVersion", "str"), 11: ("labels", "map"), 12: ("annotations", "map"),
        14: ("finalizers", "strings"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "map"), 3: ("binaryData", "bytes map"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "bytes map"), 3: ("type", "str"),
        4: ("stringData", "map"), 5: ("immutable", "bool"),
    },
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "LabelSelector": {1: ("matchLabels", "map")},
    "ContainerPort": {
        1: ("name", "str"), 2: ("hostPort", "int"), 3: ("containerPort", "int"),
        4: ("protocol", "str"),
    },
    "EnvVar": {1: ("name", "str"), 2: ("value", "str")},
    "Container": {
        1: ("name", "str"), 2: ("image", "str"), 3: ("command", "strings"), 4: ("args", "strings"),
        5: ("workingDir", "str"), 6: ("ports", "messages:ContainerPort"),
        7: ("env", "messages:EnvVar"), 14: ("imagePullPolicy", "str"),
    },
    "PodSpec": {
        2: ("containers", "messages:Container"), 3: ("restartPolicy", "str"),
        6: ("dnsPolicy", "str"), 7: ("nodeSelector", "map"), 8: ("serviceAccountName", "str"),
    },
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "DeploymentSpec": {
        1: ("replicas", "int"), 2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
    },
    "Deployment": {1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec")},
    "Pod": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "Preconditions": {1: ("uid", "str"), 2: ("resourceVersion", "str")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"), 2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"), 4: ("propagationPolicy", "str"), 5: ("dryRun", "strings"),
    },
    "Eviction": {1: ("metadata", "ObjectMeta"), 2: ("deleteOptions", "DeleteOptions")},
    "ResourceAttributes": {
        1: ("namespace", "str"), 2: ("verb", "str"), 3: ("group", "str"), 4: ("version", "str"),
        5: ("resource", "str"), 6: ("subresource", "str"), 7: ("name", "str"),
    },
    "NonResourceAttributes": {1: ("path", "str"), 2: ("verb", "str")},
    "AccessSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "RulesSpec": {1: ("namespace", "str")},
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "AccessSpec")},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "RulesSpec")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
}  # fmt: skip


def decode(body: bytes) -> dict[str, Any]:
    """Decode the object in a protobuf request; unknown kinds and fields are refused with 415."""
    if not body.startswith(MAGIC):
        raise errors.bad_request("the body of the request is not Kubernetes protobuf")
    try:
        envelope = _message(body[len(MAGIC) :], "Unknown")
        meta = envelope.get("typeMeta", {})
        kind = meta.get("kind", "")
        if kind not in _MESSAGES:
            raise _unsupported(f"a {kind} as protobuf")
        return {**meta, **_message(base64.b64decode(envelope.get("raw", "")), kind)}
    except (IndexError, UnicodeDecodeError):
        raise errors.bad_request(
            "the protobuf body of the request is truncated or damaged"
        ) from None


def _unsupported(subject: str) -> errors.ApiError:
    return errors.ApiError(
        415,
        "UnsupportedMediaType",
        f"the sandbox's API server cannot decode {subject}; send it as JSON or YAML (`kubectl "
        "apply -f`)",
    )


def _message(data: bytes, name: str) -> dict[str, Any]:
    table, document = _MESSAGES[name], dict[str, Any]()
    for number, value in _fields(data):
        if number not in table:
            if value not in (0, b"") and not _is_empty(value):
                raise _unsupported(f"field {number} of {name} in protobuf")
            continue
        field, kind = table[number]
        _put(document, field, kind, value)
    return document


def _put(document: dict[str, Any], field: str, kind: str, value: int | bytes) -> None:
    if isinstance(value, int):
        if value or kind == "int":
            document[field] = bool(value) if kind == "bool" else value
    elif kind == "str":
        if value:
            document[field] = value.decode()
    elif kind == "bytes":
        document[field] = base64.b64encode(value).decode()
    elif kind == "strings":
        document.setdefault(field, []).append(value.decode())
    elif kind in {"map", "bytes map"}:
        pair = dict(_fields(value))
        key, content = pair.get(1, b""), pair.get(2, b"")
        if isinstance(key, bytes) and isinstance(content, bytes):
            text = base64.b64encode(content).decode() if kind == "bytes map" else content.decode()
            document.setdefault(field, {})[key.decode()] = text
    elif kind.startswith("messages:"):
        document.setdefault(field, []).append(_message(value, kind.removeprefix("messages:")))
    else:
        document[field] = _message(value, kind)


def _is_empty(value: int | bytes) -> bool:
    """Return whether a submessage has empty fields only (status, unset timestamps)."""
    if isinstance(value, int):
        return value == 0
    try:
        return all(
            item in (0, b"") or (isinstance(item, bytes) and _is_empty(item))
            for _, item in _fields(value)
        )
    except IndexError:
        return False


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        if tag & 7 == 0:
            value, offset = _varint(data, offset)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, offset = _varint(data, offset)
            if offset + length > len(data):
                raise IndexError
            yield tag >> 3, data[offset : offset + length]
            offset += length
        else:
            raise IndexError


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, offset
