"""Routes HTTP requests to verbs: authorization, lists, watches and subresources."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kubernetes.apimachinery import errors, selectors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apiserver import (
    access_reviews,
    discovery,
    metrics_api,
    pod_connections,
    resource_paths,
    subresources,
    tables,
)
from sandbox.kubernetes.apiserver.auth import RequestAttributes, User
from sandbox.kubernetes.apiserver.messages import (
    ApiRequest,
    ApiResponse,
    ExecSession,
    PortForwardSession,
    Target,
    TextStream,
    WatchStream,
)
from sandbox.kubernetes.apiserver.resource_paths import ResourcePath
from sandbox.kubernetes.apiserver.verbs import WriteOptions
from sandbox.kubernetes.apiserver.watch import watch_events
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Json

_PATCHES = {
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
}

_ACCEPTED = ("json", "*/*", "application/*", "yaml", "protobuf")
_BODIES = ("", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_VALIDATION = ["", "Ignore", "Strict", "Warn"]
_MAX_MANAGER = 128

Response = ApiResponse | WatchStream | TextStream | ExecSession | PortForwardSession


def handle(cluster: Cluster, request: ApiRequest) -> Response:
    """Handle one request."""
    user = cluster.access.user(request.authorization)
    resource = resource_paths.parse(request.path)
    if resource is not None:
        return _resource(cluster, request, user, resource)
    parts = [part for part in request.path.split("/") if part]
    cluster.access.check(user, RequestAttributes(verb=request.method.lower(), path=request.path))
    return _discovery_document(cluster, request, parts)


def _discovery_document(cluster: Cluster, request: ApiRequest, parts: Sequence[str]) -> ApiResponse:  # noqa: PLR0912 - one per document
    kinds = cluster.api.kinds
    document: Any = None
    match list(parts):
        case ["version"]:
            document = discovery.version(cluster.facts.version)
        case ["healthz" | "livez" | "readyz"]:
            return ApiResponse("ok")
        case ["api"]:
            document = discovery.core_versions(request.host)
        case ["apis"]:
            document = discovery.groups(kinds)
        case ["api", version]:
            document = discovery.resources(kinds, "", version)
        case ["apis", group] if discovery.has_group(kinds, group):
            document = discovery.group(kinds, group)
        case ["apis", group, version]:
            document = discovery.resources(kinds, group, version)
        case ["openapi", "v2"]:
            # kubectl falls back to v2, and takes an outline without paths for an unknown type.
            return ApiResponse(
                discovery.OPENAPI_V2
                if "protobuf" in request.accept
                else {"swagger": "2.0", "paths": {}}
            )
        case ["openapi", "v3"]:
            document = discovery.openapi_root(kinds)
        case ["openapi", "v3", "api", version]:
            document = discovery.openapi(cluster.schema, kinds, "", version)
        case ["openapi", "v3", "apis", group, version]:
            document = discovery.openapi(cluster.schema, kinds, group, version)
        case []:
            document = {
                "paths": [
                    "/api",
                    "/apis",
                    "/healthz",
                    "/livez",
                    "/openapi/v3",
                    "/readyz",
                    "/version",
                ]
            }
    if document is None:
        if parts[:1] == ["apis"] and discovery.has_group(kinds, "".join(parts[1:2])):
            raise errors.no_such_path()
        return ApiResponse("404 page not found\n", 404)
    return ApiResponse(document)


def _resource(cluster: Cluster, request: ApiRequest, user: User, path: ResourcePath) -> Response:
    group, version, plural = path.group, path.version, path.plural
    namespace, name, subresource = path.namespace, path.name, path.subresource
    if (group, version) in discovery.METRICS:
        cluster.access.check(
            user,
            RequestAttributes(
                verb="get" if name else "list", group=group, resource=plural, namespace=namespace
            ),
        )
        return ApiResponse(metrics_api.handle(cluster, request, path))
    review = discovery.REVIEWS.get((group, version), {}).get(plural)
    if review and request.method == "POST":
        cluster.access.check(user, RequestAttributes(verb="create", group=group, resource=plural))
        return ApiResponse(
            access_reviews.review(cluster.access, user, review, request.body or {}), 201
        )
    kind = cluster.api.kinds.by_path(group, version, plural)
    if kind is None and group and not discovery.has_group(cluster.api.kinds, group):
        return ApiResponse("404 page not found\n", 404)
    if kind is None or path.is_too_long:
        raise errors.no_such_path()
    if request.accept and not any(part in request.accept for part in _ACCEPTED):
        raise errors.ApiError(
            406,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json, "
            "application/yaml, application/vnd.kubernetes.protobuf",
            {},
        )
    target = Target(kind=kind, namespace=namespace, name=name, subresource=subresource)
    cluster.access.check(
        user,
        RequestAttributes(
            verb=resource_paths.verb(request.method, path, watching=request.flag("watch")),
            group=group,
            resource=plural,
            subresource=subresource,
            namespace=namespace if kind.namespaced else (name if kind.kind == "Namespace" else ""),
            name=name,
        ),
    )
    if subresource:
        return _subresource(cluster, request, target)
    if request.method == "GET":
        return _read(cluster, request, target)
    return _write(cluster, request, target)


def _options(request: ApiRequest) -> WriteOptions:
    kind = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(request.method, "PatchOptions")
    dry_run = request.query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise errors.invalid_options(kind, errors.unsupported("dryRun", [dry_run], ["All"]))
    validation = request.query.get("fieldValidation", "")
    if validation not in _VALIDATION:
        cause = errors.unsupported("fieldValidation", validation, _VALIDATION)
        raise errors.invalid_options(kind, cause)
    if len(request.query.get("fieldManager", "")) > _MAX_MANAGER:
        raise errors.invalid_options(kind, errors.too_long("fieldManager", _MAX_MANAGER))
    manager = request.query.get("fieldManager") or request.user_agent.split("/")[0] or "unknown"
    return WriteOptions(
        manager=manager[:_MAX_MANAGER],
        dry_run=bool(dry_run),
        force=request.flag("force"),
        validation=request.query.get("fieldValidation") or "Warn",
        warnings=request.warnings,
    )


def _write(cluster: Cluster, request: ApiRequest, target: Target) -> ApiResponse:
    api, kind, namespace, name = cluster.api, target.kind, target.namespace, target.name
    if request.method == "DELETE":
        return _delete(cluster, request, target)
    if kind.namespaced and not namespace:
        raise errors.method_not_allowed(
            "the server does not allow this method on the requested resource"
        )
    options = _options(request)
    if request.method in {"PUT", "PATCH"} and not name:
        raise errors.method_not_allowed(
            "the server does not allow this method on the requested resource"
        )
    if request.method in {"POST", "PUT"} and request.content_type not in _BODIES:
        raise errors.ApiError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            f"{', '.join(_BODIES[1:])}",
        )
    if request.method == "POST":
        if name:
            raise errors.method_not_allowed(
                "the server does not allow this method on the requested resource"
            )
        return _render(request, kind, api.create(kind, namespace, request.body, options), 201)
    if request.method == "PUT":
        return _render(request, kind, api.update(kind, namespace, name, request.body, options))
    document, created = _patch(cluster, request, target, options)
    return _render(request, kind, document, 201 if created else 200)


def _patch(
    cluster: Cluster, request: ApiRequest, target: Target, options: WriteOptions
) -> tuple[Json, bool]:
    api, kind, namespace, name = cluster.api, target.kind, target.namespace, target.name
    if request.content_type not in _PATCHES:
        raise errors.ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if request.content_type == "application/apply-patch+yaml":
        if not request.query.get("fieldManager"):
            cause = errors.required("fieldManager", "is required for apply patch")
            raise errors.invalid_options("PatchOptions", cause)
        return api.apply(kind, namespace, name, request.body, options, target.subresource)
    return api.patch(
        kind, namespace, name, request.content_type, request.body, options, target.subresource
    ), False


def _delete(cluster: Cluster, request: ApiRequest, target: Target) -> ApiResponse:
    options: Json = dict(request.body) if isinstance(request.body, Mapping) else {}
    if "propagationPolicy" in request.query:
        options.setdefault("propagationPolicy", request.query["propagationPolicy"])
    dry_run = bool(request.query.get("dryRun") or options.get("dryRun"))
    kind = target.kind
    if target.name:
        document, removed = cluster.api.delete(
            kind, target.namespace, target.name, options, dry_run=dry_run
        )
        if not removed or kind.kind == "Pod":
            return ApiResponse(document)
        details = {"name": target.name, "kind": kind.plural, "uid": document["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        return ApiResponse(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            }
        )
    objects = _select(cluster, request, target)
    for item in objects:
        meta = item["metadata"]
        cluster.api.delete(kind, meta.get("namespace", ""), meta["name"], options, dry_run=dry_run)
    return ApiResponse(_list(cluster, kind, objects))


def _subresource(cluster: Cluster, request: ApiRequest, target: Target) -> Response:
    kind, namespace, name, subresource = (
        target.kind,
        target.namespace,
        target.name,
        target.subresource,
    )
    if subresource == "status" and "status" in kind.subresources:
        if request.method == "GET":
            return _render(request, kind, cluster.api.get(kind, namespace, name))
        options = _options(request)
        if request.method == "PUT":
            return _render(
                request,
                kind,
                cluster.api.update(kind, namespace, name, request.body, options, "status"),
            )
        if request.method == "PATCH":
            return _render(request, kind, _patch(cluster, request, target, options)[0])
        raise errors.method_not_allowed(
            "the server does not allow this method on the requested resource"
        )
    if kind.kind == "Pod" and subresource in pod_connections.SUBRESOURCES:
        return pod_connections.connect(cluster, request, target)
    options = _options(request)
    return ApiResponse(
        *subresources.handle(
            cluster,
            kind,
            (namespace, name, subresource),
            request.method,
            request.content_type,
            request.body,
            options,
        )
    )


def _read(cluster: Cluster, request: ApiRequest, target: Target) -> ApiResponse | WatchStream:
    kind = target.kind
    if request.flag("watch"):
        return WatchStream(watch_events(cluster, request, target))
    if target.name:
        return _render(request, kind, cluster.api.get(kind, target.namespace, target.name))
    with cluster.store.lock:
        revision = _check_revision(cluster, request)
        objects = _select(cluster, request, target)
    if request.as_table:
        return ApiResponse(
            tables.table(
                kind.kind, objects, revision, full=request.query.get("includeObject") == "Object"
            )
        )
    if "as=PartialObjectMetadata;" in request.accept:
        raise errors.ApiError(
            406,
            "NotAcceptable",
            "you requested PartialObjectMetadata, but the requested object is a list "
            f"(*core.{kind.kind}List)",
        )
    limit = int(request.query.get("limit") or 0)
    return ApiResponse(_page(request, _list(cluster, kind, objects), limit))


def _page(request: ApiRequest, document: Json, limit: int) -> Json:
    """Cut a list to `limit` objects after those of the `continue` token."""
    start = _decode_token(request.query.get("continue", ""))
    items, metadata = document["items"][start:], document["metadata"]
    if 0 < limit < len(items):
        token = json.dumps({"v": "sandbox", "start": start + limit}).encode()
        metadata["continue"] = urlsafe_b64encode(token).decode().rstrip("=")
        metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    return {**document, "items": items}


def _decode_token(text: str) -> int:
    if not text:
        return 0
    try:
        return int(json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))["start"])
    except (ValueError, KeyError, TypeError):
        raise errors.bad_request(
            "continue key is not valid: the token is not of this server"
        ) from None


def _check_revision(cluster: Cluster, request: ApiRequest) -> str:
    """Return the current resource version; refuse an invalid or future one in the request."""
    current, stated = cluster.store.revision, request.query.get("resourceVersion", "")
    if stated and not stated.isdigit():
        error = errors.invalid_resource_version(stated)
        error.message = f"invalid resource version: {error.message}"
        raise error
    if stated and int(stated) > current:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise errors.ApiError(
            504,
            "Timeout",
            f"Timeout: Too large resource version: {stated}, current: {current}",
            {"causes": [cause], "retryAfterSeconds": 1},
        )
    return str(current)


def _select(cluster: Cluster, request: ApiRequest, target: Target) -> list[Json]:
    labels = selectors.parse_labels(request.query.get("labelSelector", ""))
    fields = selectors.parse_fields(request.query.get("fieldSelector", ""), target.kind.kind)
    objects = cluster.store.list_objects(target.kind.group_resource, target.namespace)
    return [
        item
        for item in objects
        if selectors.selects(labels, item) and selectors.fields_match(fields, item)
    ]


def _list(cluster: Cluster, kind: Kind, objects: Sequence[Json]) -> Json:
    return {
        "kind": f"{kind.kind}List",
        "apiVersion": kind.api_version,
        "metadata": {"resourceVersion": str(cluster.store.revision)},
        "items": [
            {k: v for k, v in item.items() if k not in {"kind", "apiVersion"}}
            if kind.definition
            else item
            for item in objects
        ],
    }


def _partial(document: Json) -> Json:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document["metadata"],
    }


def _render(request: ApiRequest, kind: Kind, document: Json, code: int = 200) -> ApiResponse:
    if request.as_table:
        return ApiResponse(
            tables.table(kind.kind, [document], document["metadata"].get("resourceVersion", "")),
            code,
        )
    if "as=PartialObjectMetadata;" in request.accept:
        return ApiResponse(_partial(document), code)
    return ApiResponse(document, code)
