"""Validation of names, labels, annotations and finalizers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import Cause, invalid_value, required
from sandbox.kubernetes.apimachinery.kinds import Kind

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")

DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")

_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")

_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")

_LABEL_KINDS = frozenset({"Namespace", "Service"})

_PATH_NAMED = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def validate_metadata(kind: Kind, document: Mapping[str, Any]) -> Iterator[Cause]:
    """Validate name, labels and annotations."""
    meta = document["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.kind in _PATH_NAMED or not kind.definition:
        if "/" in name or "%" in name or name in {".", ".."}:
            yield invalid_value("metadata.name", name, "may not contain '/' or '%'")
    elif kind.kind in _LABEL_KINDS and not (DNS_LABEL.match(name) and len(name) <= 63):
        yield invalid_value(
            "metadata.name",
            name,
            LABEL_RULE if len(name) <= 63 else "must be no more than 63 characters",
        )
    elif kind.kind == "Service" and not name[0].isalpha():
        yield invalid_value(
            "metadata.name", name, "a DNS-1035 label must start with an alphabetic character"
        )
    elif not (DNS_SUBDOMAIN.match(name) and len(name) <= 253):
        yield invalid_value("metadata.name", name, SUBDOMAIN_RULE)
    yield from validate_labels(meta.get("labels") or {}, "metadata.labels")
    for key in meta.get("annotations") or {}:
        if not _qualified(key):
            yield invalid_value(
                "metadata.annotations",
                key,
                "name part must consist of alphanumeric characters, '-', '_' or '.'",
            )
    for finalizer in meta.get("finalizers") or ():
        if not _qualified(finalizer):
            yield invalid_value(
                "metadata.finalizers",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def _qualified(key: str) -> bool:
    prefix, _, name = key.rpartition("/")
    return (
        bool(_LABEL_NAME.match(name))
        and len(name) <= 63
        and (not prefix or bool(DNS_SUBDOMAIN.match(prefix)))
    )


def validate_labels(labels: Mapping[str, str], path: str) -> Iterator[Cause]:
    """Validate label keys and values at `path`."""
    for key, value in labels.items():
        if not _qualified(key):
            yield invalid_value(
                path, key, "name part must consist of alphanumeric characters, '-', '_' or '.'"
            )
        if not _LABEL_VALUE.match(value) or len(value) > 63:
            yield invalid_value(
                path,
                value,
                "must be no more than 63 characters"
                if len(value) > 63
                else "a valid label must be an empty string or consist of alphanumeric "
                "characters, '-', '_' or '.', and must "
                "start and end with an alphanumeric character",
            )
