"""What clients ask before anything else: version, API groups, resource types and an OpenAPI v3 outline."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind, KindTable
from sandbox.kubernetes.apimachinery.schema import Schema

# An OpenAPI v2 document as protobuf that says nothing but its version (field 1, "2.0").
OPENAPI_V2 = b"\x0a\x032.0"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
# Reviews: created, answered and forgotten.
REVIEWS = {
    ("authorization.k8s.io", "v1"): {
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "subjectaccessreviews": "SubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
    },
    ("authentication.k8s.io", "v1"): {"selfsubjectreviews": "SelfSubjectReview"},
}


def version(minor_version: str) -> dict[str, str]:
    """Return `/version`; the patch level says that this is the sandbox."""
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
    found: dict[str, set[str]] = {}
    for kind in kinds.all():
        found.setdefault(kind.group, set()).add(kind.version)
    for group, review_version in REVIEWS:
        found.setdefault(group, set()).add(review_version)
    return {
        group: sorted(versions, key=lambda text: int(text[1:]) if text[1:].isdigit() else 0, reverse=True)
        for group, versions in found.items()
    }


def core_versions() -> dict[str, Any]:
    """Return `/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(kinds: KindTable) -> dict[str, Any]:
    """Return `/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group(kinds, name) for name in sorted(_group_versions(kinds)) if name],
    }


def group(kinds: KindTable, name: str) -> dict[str, Any]:
    """Return `/apis/<group>`."""
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in _group_versions(kinds).get(name, ())]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def has_group(kinds: KindTable, name: str) -> bool:
    """Say whether an API group is served."""
    return name in _group_versions(kinds)


def resources(kinds: KindTable, group_name: str, version_name: str) -> dict[str, Any] | None:
    """Return `/apis/<group>/<version>`, or None when it isn't served."""
    if version_name not in _group_versions(kinds).get(group_name, ()):
        return None
    found = []
    for kind in kinds.all():
        if (kind.group, kind.version) == (group_name, version_name):
            found += _describe(kind)
    for plural, name in REVIEWS.get((group_name, version_name), {}).items():
        found.append(
            {"name": plural, "singularName": name.lower(), "namespaced": False, "kind": name, "verbs": ["create"]}
        )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version_name}" if group_name else version_name,
        "resources": found,
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
    found = [main]
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
        elif subresource in {"eviction", "binding"}:
            entry |= {"kind": subresource.capitalize(), "verbs": ["create"]}
        elif subresource == "log":
            entry["verbs"] = ["get"]
        found.append(entry)
    return found


def openapi_root(kinds: KindTable, prefix: str) -> dict[str, Any]:
    """Return `/openapi/v3`: where each group version's document is."""
    paths = {}
    for name, versions in _group_versions(kinds).items():
        for item in versions:
            path = f"apis/{name}/{item}" if name else f"api/{item}"
            paths[path] = {"serverRelativeURL": f"{prefix}/openapi/v3/{path}?hash=sandbox"}
    return {"paths": paths}


def openapi(schema: Schema, kinds: KindTable, group_name: str, version_name: str) -> dict[str, Any]:
    """Return the OpenAPI v3 document of one group version: its schemas, and the paths that kubectl looks for."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    base = f"/apis/{group_name}/{version_name}" if group_name else f"/api/{version_name}"
    for kind in kinds.all():
        if (kind.group, kind.version) != (group_name, version_name):
            continue
        if kind.definition:
            _collect(schema, kind.definition, components)
        place = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
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
        paths[f"{place}/{{name}}"] = {
            "patch": {
                "x-kubernetes-group-version-kind": gvk,
                "x-kubernetes-action": "patch",
                "parameters": writes,
                "requestBody": {"content": {item: {"schema": {"type": "object"}} for item in media}},
                "responses": {"200": {"description": "OK"}},
            },
            "get": {
                "x-kubernetes-group-version-kind": gvk,
                "x-kubernetes-action": "get",
                "responses": {"200": {"description": "OK"}},
            },
        }
        paths[place] = {
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
    """Turn the package's JSON-schema dialect (nullable types, $defs) into OpenAPI v3's."""
    if isinstance(node, list):
        return [_translate(schema, item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):  # a field of JSONSchemaProps bears that name too
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
