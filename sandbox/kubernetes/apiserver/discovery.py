"""Discovery documents: version, API groups, resource types and OpenAPI v3."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind, KindTable
from sandbox.kubernetes.apimachinery.schema import Schema

# An empty OpenAPI v2 document as protobuf: field 1, the version "2.0".
OPENAPI_V2 = b"\x0a\x032.0"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
# Created and answered, but not stored.
REVIEWS = {
    ("authorization.k8s.io", "v1"): {
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "subjectaccessreviews": "SubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
    },
    ("authentication.k8s.io", "v1"): {"selfsubjectreviews": "SelfSubjectReview"},
}

# Computed for each request: plural, kind and scope by group and version.
METRICS = {
    ("metrics.k8s.io", "v1beta1"): {"nodes": ("NodeMetrics", False), "pods": ("PodMetrics", True)}
}


def version(minor_version: str) -> dict[str, str]:
    """Return `/version`; the patch level names the sandbox."""
    major, minor = minor_version.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{minor_version}.0-eks-sandbox",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def _group_versions(kinds: KindTable) -> dict[str, list[str]]:
    versions_by_group: dict[str, set[str]] = {}
    for kind in kinds.all():
        versions_by_group.setdefault(kind.group, set()).add(kind.version)
    for group, extra_version in (*REVIEWS, *METRICS):
        versions_by_group.setdefault(group, set()).add(extra_version)
    return {
        group: sorted(
            versions, key=lambda text: int(text[1:]) if text[1:].isdigit() else 0, reverse=True
        )
        for group, versions in versions_by_group.items()
    }


def core_versions(address: str) -> dict[str, Any]:
    """Return `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(kinds: KindTable) -> dict[str, Any]:
    """Return `/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group(kinds, name) for name in sorted(_group_versions(kinds)) if name],
    }


def group(kinds: KindTable, name: str) -> dict[str, Any]:
    """Return `/apis/<group>`."""
    versions = [
        {"groupVersion": f"{name}/{v}", "version": v} for v in _group_versions(kinds).get(name, ())
    ]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def has_group(kinds: KindTable, name: str) -> bool:
    """Return whether an API group is served."""
    return name in _group_versions(kinds)


def resources(kinds: KindTable, group_name: str, version_name: str) -> dict[str, Any] | None:
    """Return `/apis/<group>/<version>`, or None if it is not served."""
    if version_name not in _group_versions(kinds).get(group_name, ()):
        return None
    resources = []
    for kind in kinds.all():
        if (kind.group, kind.version) == (group_name, version_name):
            resources += _describe(kind)
    for plural, name in REVIEWS.get((group_name, version_name), {}).items():
        resources.append(
            {
                "name": plural,
                "singularName": name.lower(),
                "namespaced": False,
                "kind": name,
                "verbs": ["create"],
            }
        )
    for plural, (name, namespaced) in METRICS.get((group_name, version_name), {}).items():
        resources.append(
            {
                "name": plural,
                "singularName": "",
                "namespaced": namespaced,
                "kind": name,
                "verbs": ["get", "list"],
            }
        )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version_name}" if group_name else version_name,
        "resources": resources,
    }


def _describe(kind: Kind) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    resources = [main]
    for subresource in kind.subresources:
        entry = {
            "name": f"{kind.plural}/{subresource}",
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": ["get", "patch", "update"],
        }
        if subresource == "scale":
            entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        elif subresource == "eviction":
            # `kubectl drain` evicts only with this group and version.
            entry |= {"group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
        elif subresource == "binding":
            entry |= {"kind": "Binding", "verbs": ["create"]}
        elif subresource == "log":
            entry["verbs"] = ["get"]
        resources.append(entry)
    return resources


def openapi_root(kinds: KindTable) -> dict[str, Any]:
    """Return `/openapi/v3`: the URL of each group version's document."""
    paths = {}
    for name, versions in _group_versions(kinds).items():
        for item in versions:
            path = f"apis/{name}/{item}" if name else f"api/{item}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash=sandbox"}
    return {"paths": paths}


def openapi(schema: Schema, kinds: KindTable, group_name: str, version_name: str) -> dict[str, Any]:
    """Return the OpenAPI v3 document of a group version: schemas and paths for kubectl."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    base = f"/apis/{group_name}/{version_name}" if group_name else f"/api/{version_name}"
    for kind in kinds.all():
        if (kind.group, kind.version) != (group_name, version_name):
            continue
        if kind.definition:
            _collect(schema, kind.definition, components)
        path = (
            f"{base}/namespaces/{{namespace}}/{kind.plural}"
            if kind.namespaced
            else f"{base}/{kind.plural}"
        )
        gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        writes = [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        media = [
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ]
        paths[f"{path}/{{name}}"] = {
            "patch": {
                "x-kubernetes-group-version-kind": gvk,
                "x-kubernetes-action": "patch",
                "parameters": writes,
                "requestBody": {
                    "content": {item: {"schema": {"type": "object"}} for item in media}
                },
                "responses": {"200": {"description": "OK"}},
            },
            "get": {
                "x-kubernetes-group-version-kind": gvk,
                "x-kubernetes-action": "get",
                "responses": {"200": {"description": "OK"}},
            },
        }
        paths[path] = {
            "post": {
                "x-kubernetes-group-version-kind": gvk,
                "x-kubernetes-action": "post",
                "parameters": writes,
                "responses": {"200": {"description": "OK"}},
            }
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{schema.version}.0"},
        "paths": paths,
        "components": {"schemas": components},
    }


def _collect(schema: Schema, name: str, components: dict[str, Any]) -> None:
    if name in components:
        return
    components[name] = {}
    components[name] = _translate(schema, schema.definition(name), components)


def _translate(schema: Schema, node: Any, components: dict[str, Any]) -> Any:
    """Translate JSON schema with nullable types and $defs to OpenAPI v3."""
    if isinstance(node, list):
        return [_translate(schema, item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):  # JSONSchemaProps also has a field of that name
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        _collect(schema, name, components)
        rest = {k: v for k, v in node.items() if k != "$ref"}
        return {**rest, "allOf": [{"$ref": f"#/components/schemas/{name}"}]}
    result = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            result[key] = next(item for item in value if item != "null")
        elif key == "x-kubernetes-group-version-kind":
            result[key] = value
        else:
            result[key] = _translate(schema, value, components)
    return result
