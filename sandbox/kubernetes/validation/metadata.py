"""Validation of names, labels, annotations and finalizers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import Cause, invalid_value, required, too_long
from sandbox.kubernetes.apimachinery.kinds import Kind

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")

DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")

_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")

_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")

_PATH_NAMED = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)

_DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_DNS_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_MAX_ANNOTATIONS = 256 * 1024
_MAX_CRON_JOB_NAME = 52  # the controller appends 11 characters to a Job's name

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
    else:
        yield from _name(kind.kind, name)
    yield from validate_labels(meta.get("labels") or {}, "metadata.labels")
    annotations = meta.get("annotations") or {}
    for key in annotations:
        yield from validate_qualified_name(key.lower(), "metadata.annotations", key)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _MAX_ANNOTATIONS:
        yield too_long("metadata.annotations", _MAX_ANNOTATIONS)
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        yield from validate_qualified_name(finalizer, "metadata.finalizers")
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            yield invalid_value(
                f"metadata.finalizers[{index}]",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
    for owner in meta.get("ownerReferences") or ():
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                yield invalid_value(f"metadata.ownerReferences.{part}", "", "must not be empty")


_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def _name(kind: str, name: str) -> Iterator[Cause]:
    if kind == "Service":
        if len(name) > 63:
            yield invalid_value("metadata.name", name, "must be no more than 63 characters")
        elif not _DNS_1035.match(name):
            yield invalid_value("metadata.name", name, _DNS_1035_RULE)
    elif kind == "Namespace":
        if "." in name:
            yield invalid_value("metadata.name", name, "must not contain dots")
        elif len(name) > 63:
            yield invalid_value("metadata.name", name, "must be no more than 63 characters")
        elif not DNS_LABEL.match(name):
            yield invalid_value("metadata.name", name, LABEL_RULE)
    elif len(name) > 253:
        yield invalid_value("metadata.name", name, "must be no more than 253 characters")
    elif not DNS_SUBDOMAIN.match(name):
        yield invalid_value("metadata.name", name, SUBDOMAIN_RULE)
    elif kind == "CronJob" and len(name) > _MAX_CRON_JOB_NAME:
        text = f"must be no more than {_MAX_CRON_JOB_NAME} characters"
        yield invalid_value("metadata.name", name, text)


def validate_qualified_name(key: str, path: str, value: object = None) -> Iterator[Cause]:
    """Validate a label key or a similar name with an optional domain."""
    prefix, slash, name = key.rpartition("/")
    shown = key if value is None else value
    if slash and not prefix:
        yield invalid_value(path, shown, "prefix part must be non-empty")
    elif prefix and not DNS_SUBDOMAIN.match(prefix):
        yield invalid_value(path, shown, f"prefix part {SUBDOMAIN_RULE}")
    if not name:
        yield invalid_value(path, shown, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid_value(path, shown, "name part must be no more than 63 bytes")
    if not _LABEL_NAME.match(name):
        yield invalid_value(path, shown, _NAME_RULE)


def validate_labels(labels: Mapping[str, str], path: str) -> Iterator[Cause]:
    """Validate label keys and values at `path`."""
    for key, value in labels.items():
        yield from validate_qualified_name(key, path)
        if len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 bytes")
        if not _LABEL_VALUE.match(value):
            yield invalid_value(path, value, _VALUE_RULE)
