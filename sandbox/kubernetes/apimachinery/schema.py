"""The OpenAPI schema of a Kubernetes version: fields, their types and merge strategies.

Definitions come from kubernetes-validate (Kubernetes' own OpenAPI documents by minor version). They
are evaluated here instead of by jsonschema, because the API server's messages name Go types and
paths, and server-side apply and strategic merge need each field's list and map type.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from sandbox.kubernetes.apimachinery import kinds
from sandbox.kubernetes.apimachinery.errors import Cause, required
from sandbox.kubernetes.apimachinery.kinds import Kind, KindTable
from sandbox.kubernetes.apimachinery.quantities import RULE, canonical, is_quantity

_DATA = "kubernetes-json-schema"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# Required fields that validation reports with its own message.
_CHECKED_ELSEWHERE = frozenset({"template", "containers", "topologyKey", "port", "pathType"})
OPEN: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}
_GO_TYPES = {"integer": "int32", "boolean": "bool", "string": "string", "number": "float64"}


class UnknownVersionError(ValueError):
    """No schema exists for the requested Kubernetes version."""


def versions() -> list[str]:
    """Return the Kubernetes minor versions with a schema, oldest first."""
    numbers = {
        match.group(1)
        for entry in (files("kubernetes_validate") / _DATA).iterdir()
        if (match := re.match(r"v(\d+\.\d+)\.\d+-local$", entry.name))
    }
    return sorted(numbers, key=lambda version: [int(part) for part in version.split(".")])


@dataclass
class SchemaErrors:
    """Unknown fields, type errors and missing required fields of a document."""

    unknown: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    missing: list[Cause] = field(default_factory=list)


class Schema:
    """The definitions of one version; immutable and shared by its clusters."""

    def __init__(self, version: str, definitions: Mapping[str, Any]) -> None:
        self.version = version
        self._definitions = definitions

    def kinds(self) -> KindTable:
        """Return the resource types that a cluster of this version serves."""
        served: dict[tuple[str, str, str], Kind] = {}
        for name, definition in self._definitions.items():
            for gvk in definition.get("x-kubernetes-group-version-kind", ()):
                key = (gvk["group"], gvk["version"], gvk["kind"])
                if kinds.is_served(*key) and "metadata" in definition.get("properties", {}):
                    served[key] = kinds.describe(*key, definition=name)
        return KindTable(served.values())

    def definition(self, name: str) -> dict[str, Any]:
        """Return a definition; an open one for custom resources."""
        definition: dict[str, Any] = self._definitions[name] if name else OPEN
        return definition

    def resolve(self, node: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Follow a `$ref`; return the definition's name ("" without) and content."""
        reference = node.get("$ref")
        if reference is None:
            return "", node
        name = str(reference).rsplit("/", 1)[-1]
        return name, self._definitions[name]

    def child(self, node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return the schema of a field or map entry; open where the schema is open."""
        _, node = self.resolve(node)
        properties = node.get("properties", {})
        if key in properties:
            child: Mapping[str, Any] = properties[key]
            return child
        extra = node.get("additionalProperties")
        return extra if isinstance(extra, Mapping) else OPEN

    def items(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema of a list's entries."""
        items: Mapping[str, Any] = node.get("items", OPEN)
        return items

    def check(self, kind: Kind, document: Mapping[str, Any]) -> SchemaErrors:
        """Validate a document against its kind's definition."""
        errors = SchemaErrors()
        if kind.definition:
            name = kind.definition
            self._object(document, self._definitions[name], "", _go_name(name), errors, spec=True)
        return errors

    def prune(self, kind: Kind, document: dict[str, Any]) -> dict[str, Any]:
        """Drop unknown fields, as the server does when validation only warns."""
        return (
            dict(self._prune(document, self.definition(kind.definition)))
            if kind.definition
            else document
        )

    def _prune(self, value: Any, node: Mapping[str, Any]) -> Any:
        _, node = self.resolve(node)
        if isinstance(value, dict) and "properties" in node:
            return {
                k: self._prune(v, node["properties"][k])
                for k, v in value.items()
                if k in node["properties"]
            }
        if isinstance(value, list) and "items" in node:
            return [self._prune(item, node["items"]) for item in value]
        if isinstance(value, dict) and isinstance(node.get("additionalProperties"), Mapping):
            return {k: self._prune(v, node["additionalProperties"]) for k, v in value.items()}
        return value

    def normalize(self, kind: Kind, document: dict[str, Any]) -> None:
        """Write quantities as the server does, and drop empty lists and maps, in place."""
        if kind.definition:
            self._normalize(document, self._definitions[kind.definition])

    def _normalize(self, value: Any, node: Mapping[str, Any]) -> Any:
        name, node = self.resolve(node)
        if name == _QUANTITY:
            return canonical(value)
        if isinstance(value, list):
            items = self.items(node)
            return [self._normalize(item, items) for item in value]
        if not isinstance(value, dict):
            return value
        properties, more = node.get("properties"), node.get("additionalProperties")
        if properties is None and isinstance(more, Mapping):
            return {key: self._normalize(item, more) for key, item in value.items()}
        for key in list(value) if properties is not None else ():
            field_node = properties.get(key) if properties is not None else None
            if field_node is None:
                continue
            value[key] = self._normalize(value[key], field_node)
            omitted = "items" in field_node or "additionalProperties" in field_node
            if value[key] in ([], {}) and omitted and key not in node.get("required", ()):
                del value[key]
        return value

    def _object(
        self,
        value: Mapping[str, Any],
        node: Mapping[str, Any],
        path: str,
        owner: str,
        errors: SchemaErrors,
        *,
        spec: bool,
    ) -> None:
        properties = node.get("properties")
        if properties is None:
            return
        for key, item in value.items():
            if key not in properties:
                errors.unknown.append(_join(path, key))
            elif item is not None:
                inside = spec and not (path == "" and key in {"status", "metadata"})
                self._value(
                    item,
                    properties[key],
                    _join(path, key),
                    f"{owner}.{_join(path, key)}",
                    errors,
                    spec=inside,
                )
        for key in node.get("required", ()) if spec else ():
            if key not in _CHECKED_ELSEWHERE and value.get(key) in (None, ""):
                errors.missing.append(required(_join(path, key)))

    def _value(  # noqa: PLR0912 - one branch per JSON type
        self,
        value: Any,
        node: Mapping[str, Any],
        path: str,
        field_path: str,
        errors: SchemaErrors,
        *,
        spec: bool,
    ) -> None:
        name, node = self.resolve(node)
        types = _types(node)
        if name == _QUANTITY:
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                errors.types.append(_mismatch(value, field_path, "resource.Quantity"))
            elif not is_quantity(value):
                errors.types.append(RULE)
        elif name == _INT_OR_STRING:
            if not isinstance(value, str | int) or isinstance(value, bool):
                errors.types.append(_mismatch(value, field_path, "intstr.IntOrString"))
        elif "object" in types:
            if not isinstance(value, Mapping):
                errors.types.append(
                    _mismatch(value, field_path, _go_type(name) if name else "map[string]string")
                )
            elif "properties" in node:
                self._object(value, node, path, _go_name(name) or field_path, errors, spec=spec)
            elif isinstance(node.get("additionalProperties"), Mapping):
                for key, item in value.items():
                    if item is not None:
                        self._value(
                            item,
                            node["additionalProperties"],
                            f"{path}.{key}",
                            field_path,
                            errors,
                            spec=spec,
                        )
        elif "array" in types:
            if not isinstance(value, list):
                item_name = self.resolve(self.items(node))[0]
                errors.types.append(
                    _mismatch(value, field_path, f"[]{_go_type(item_name) or 'string'}")
                )
            else:
                for index, item in enumerate(value):
                    if item is not None:
                        self._value(
                            item,
                            self.items(node),
                            f"{path}[{index}]",
                            field_path,
                            errors,
                            spec=spec,
                        )
        elif types:
            _scalar(value, node, types, field_path, errors)


def _scalar(
    value: Any, node: Mapping[str, Any], types: set[str], field_path: str, errors: SchemaErrors
) -> None:
    go_type = node.get("format", "") if "integer" in types else ""
    kind = next((name for name in ("integer", "number", "boolean", "string") if name in types), "")
    fits = {
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
    }.get(kind, True)
    if not fits:
        errors.types.append(_mismatch(value, field_path, go_type or _GO_TYPES[kind]))
    elif node.get("format") == "int32" and not -(2**31) <= value < 2**31:
        errors.types.append(
            f"json: cannot unmarshal number {value} into Go struct field {field_path} of type int32"
        )
    elif node.get("format") == "byte":
        try:
            b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            illegal = re.search(r"[^A-Za-z0-9+/=]", value)
            at = illegal.start() if illegal else len(value) - len(value) % 4
            errors.types.append(f"illegal base64 data at input byte {at}")


def _types(node: Mapping[str, Any]) -> set[str]:
    types = node.get("type", ())
    return {types} if isinstance(types, str) else set(types) - {"null"}


def _mismatch(value: Any, field_path: str, go_type: str) -> str:
    actual = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "bool",
        int: "number",
        float: "number",
    }[type(value)]
    return f"json: cannot unmarshal {actual} into Go struct field {field_path} of type {go_type}"


def _go_name(definition: str) -> str:
    return definition.rsplit(".", 1)[-1]


def _go_type(definition: str) -> str:
    """Return the type with its package, such as v1.Container."""
    return ".".join(definition.rsplit(".", 2)[-2:])


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


@lru_cache(maxsize=4)
def load(version: str) -> Schema:
    """Load the schema of a minor version ("1.33"). Raises UnknownVersionError with all versions."""
    folder = files("kubernetes_validate") / _DATA / f"v{version}.0-local"
    try:
        definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    except (FileNotFoundError, NotADirectoryError):
        raise UnknownVersionError(
            f"Kubernetes {version} has no schema in the sandbox; it has {', '.join(versions())}"
        ) from None
    return Schema(version, definitions)
