"""From a URL to a verb on objects: the API server's routing, authorization, lists, watches and subresources."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.apimachinery import errors, selectors
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apiserver import access_reviews, discovery, subresources, tables
from sandbox.kubernetes.apiserver.auth import Request, User
from sandbox.kubernetes.apiserver.verbs import Write
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Event, Json, TooOldError

_PATCHES = {
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request. `warnings` collects what the answer's Warning headers say."""

    method: str
    path: str
    prefix: str
    query: Mapping[str, str]
    content_type: str
    accept: str
    authorization: str
    user_agent: str
    body: Any
    warnings: list[str] = field(default_factory=list)

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter."""
        return self.query.get(name, "") in {"true", "1", "True"}


@dataclass(frozen=True)
class Answer:
    """A document, or plain text, with its HTTP status."""

    content: Any
    code: int = 200


@dataclass(frozen=True)
class Stream:
    """A watch: events, one per line."""

    events: Iterator[Json]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a resource URL points at."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


def answer(cluster: Cluster, call: Call) -> Answer | Stream:
    """Answer one request."""
    user = cluster.gate.user(call.authorization)
    parts = [part for part in call.path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        return _resource(cluster, call, user, "", parts[1], parts[2:])
    if parts[:1] == ["apis"] and len(parts) > 3:
        return _resource(cluster, call, user, parts[1], parts[2], parts[3:])
    cluster.gate.check(user, Request(verb=call.method.lower(), path=call.path))
    return _outline(cluster, call, parts)


def _outline(cluster: Cluster, call: Call, parts: Sequence[str]) -> Answer:  # noqa: PLR0912 - one per document
    kinds = cluster.api.kinds
    found: Any = None
    match list(parts):
        case ["version"]:
            found = discovery.version(cluster.facts.version)
        case ["healthz" | "livez" | "readyz"]:
            return Answer("ok")
        case ["api"]:
            found = discovery.core_versions()
        case ["apis"]:
            found = discovery.groups(kinds)
        case ["api", version]:
            found = discovery.resources(kinds, "", version)
        case ["apis", group] if discovery.has_group(kinds, group):
            found = discovery.group(kinds, group)
        case ["apis", group, version]:
            found = discovery.resources(kinds, group, version)
        case ["openapi", "v2"]:
            # kubectl looks here for what v3 doesn't know, and takes an outline without paths for "no such type".
            return Answer(discovery.OPENAPI_V2 if "protobuf" in call.accept else {"swagger": "2.0", "paths": {}})
        case ["openapi", "v3"]:
            found = discovery.openapi_root(kinds, call.prefix)
        case ["openapi", "v3", "api", version]:
            found = discovery.openapi(cluster.schema, kinds, "", version)
        case ["openapi", "v3", "apis", group, version]:
            found = discovery.openapi(cluster.schema, kinds, group, version)
        case []:
            found = {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
    if found is None:
        raise errors.no_such_path()
    return Answer(found)


def _resource(
    cluster: Cluster, call: Call, user: User, group: str, version: str, rest: Sequence[str]
) -> Answer | Stream:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    review = discovery.REVIEWS.get((group, version), {}).get(plural)
    if review and call.method == "POST":
        cluster.gate.check(user, Request(verb="create", group=group, resource=plural))
        return Answer(access_reviews.answer(cluster.gate, user, review, call.body or {}), 201)
    kind = cluster.api.kinds.at(group, version, plural)
    if kind is None or len(rest) > 3:
        raise errors.no_such_path()
    target = Target(kind=kind, namespace=namespace, name=name, subresource=subresource)
    watching = call.flag("watch")
    reading = "watch" if watching else "get" if name else "list"
    verb = reading if call.method == "GET" else _VERBS[call.method]
    if verb == "delete" and not name:
        verb = "deletecollection"
    cluster.gate.check(
        user,
        Request(
            verb=verb,
            group=group,
            resource=plural,
            subresource=subresource,
            namespace=namespace if kind.namespaced else (name if kind.kind == "Namespace" else ""),
            name=name,
        ),
    )
    if subresource:
        return _subresource(cluster, call, target)
    if call.method == "GET":
        return _read(cluster, call, target)
    return _write(cluster, call, target)


def _options(call: Call) -> Write:
    dry_run = call.query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise errors.bad_request(f'Invalid value: "{dry_run}": dryRun: supported values: "All"')
    manager = call.query.get("fieldManager") or call.user_agent.split("/")[0] or "unknown"
    return Write(
        manager=manager[:128],
        dry_run=bool(dry_run),
        force=call.flag("force"),
        validation=call.query.get("fieldValidation") or "Warn",
        warnings=call.warnings,
    )


def _write(cluster: Cluster, call: Call, target: Target) -> Answer:
    api, kind, namespace, name = cluster.api, target.kind, target.namespace, target.name
    if call.method == "DELETE":
        return _delete(cluster, call, target)
    if kind.namespaced and not namespace:
        raise errors.method_not_allowed("the server does not allow this method on the requested resource")
    how = _options(call)
    if call.method == "POST":
        if name:
            raise errors.method_not_allowed("the server does not allow this method on the requested resource")
        return _shown(call, kind, api.create(kind, namespace, call.body, how), 201)
    if call.method == "PUT":
        return _shown(call, kind, api.update(kind, namespace, name, call.body, how))
    document, created = _patched(cluster, call, target, how)
    return _shown(call, kind, document, 201 if created else 200)


def _patched(cluster: Cluster, call: Call, target: Target, how: Write) -> tuple[Json, bool]:
    api, kind, namespace, name = cluster.api, target.kind, target.namespace, target.name
    if call.content_type not in _PATCHES:
        raise errors.ApiError(
            415, "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(sorted(_PATCHES))}",
        )  # fmt: skip
    if call.content_type == "application/apply-patch+yaml":
        if not call.query.get("fieldManager"):
            raise errors.bad_request(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        return api.apply(kind, namespace, name, call.body, how, target.subresource)
    return api.patch(kind, namespace, name, call.content_type, call.body, how, target.subresource), False


def _delete(cluster: Cluster, call: Call, target: Target) -> Answer:
    options: Json = dict(call.body) if isinstance(call.body, Mapping) else {}
    if "propagationPolicy" in call.query:
        options.setdefault("propagationPolicy", call.query["propagationPolicy"])
    dry_run = bool(call.query.get("dryRun") or options.get("dryRun"))
    kind = target.kind
    if target.name:
        document, gone = cluster.api.delete(kind, target.namespace, target.name, options, dry_run=dry_run)
        if not gone:
            return Answer(document)
        details = {"name": target.name, "kind": kind.plural, "uid": document["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        return Answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    found = _selected(cluster, call, target)
    for item in found:
        meta = item["metadata"]
        cluster.api.delete(kind, meta.get("namespace", ""), meta["name"], options, dry_run=dry_run)
    return Answer(_listing(cluster, kind, found))


def _subresource(cluster: Cluster, call: Call, target: Target) -> Answer:
    kind, namespace, name, subresource = target.kind, target.namespace, target.name, target.subresource
    if subresource == "status" and "status" in kind.subresources:
        if call.method == "GET":
            return _shown(call, kind, cluster.api.get(kind, namespace, name))
        how = _options(call)
        if call.method == "PUT":
            return _shown(call, kind, cluster.api.update(kind, namespace, name, call.body, how, "status"))
        if call.method == "PATCH":
            return _shown(call, kind, _patched(cluster, call, target, how)[0])
        raise errors.method_not_allowed("the server does not allow this method on the requested resource")
    how = _options(call)
    return Answer(
        *subresources.answer(
            cluster, kind, (namespace, name, subresource), call.method, call.content_type, call.body, how
        )
    )


def _read(cluster: Cluster, call: Call, target: Target) -> Answer | Stream:
    kind = target.kind
    if call.flag("watch"):
        return Stream(_watch(cluster, call, target))
    if target.name:
        return _shown(call, kind, cluster.api.get(kind, target.namespace, target.name))
    with cluster.store.lock:
        found = _selected(cluster, call, target)
        revision = str(cluster.store.revision)
    if _as_table(call):
        return Answer(tables.table(kind.kind, found, revision, full=call.query.get("includeObject") == "Object"))
    return Answer(_listing(cluster, kind, found))


def _selected(cluster: Cluster, call: Call, target: Target) -> list[Json]:
    labels = selectors.parse_labels(call.query.get("labelSelector", ""))
    fields = selectors.parse_fields(call.query.get("fieldSelector", ""))
    found = cluster.store.listed(target.kind.qualified, target.namespace)
    return [item for item in found if selectors.selects(labels, item) and selectors.fields_match(fields, item)]


def _listing(cluster: Cluster, kind: Kind, found: Sequence[Json]) -> Json:
    return {
        "kind": f"{kind.kind}List",
        "apiVersion": kind.api_version,
        "metadata": {"resourceVersion": str(cluster.store.revision)},
        "items": [
            {k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} if kind.definition else item
            for item in found
        ],
    }


def _as_table(call: Call) -> bool:
    return "as=Table" in call.accept


def _shown(call: Call, kind: Kind, document: Json, code: int = 200) -> Answer:
    if _as_table(call):
        return Answer(tables.table(kind.kind, [document], document["metadata"].get("resourceVersion", "")), code)
    return Answer(document, code)


def _watch(cluster: Cluster, call: Call, target: Target) -> Iterator[Json]:
    """Yield watch events until the client's timeout, or for an hour."""
    labels = selectors.parse_labels(call.query.get("labelSelector", ""))
    fields = selectors.parse_fields(call.query.get("fieldSelector", ""))
    if target.name:
        fields.append(("metadata.name", True, target.name))
    deadline = time.monotonic() + float(call.query.get("timeoutSeconds") or 3600)
    store, kind = cluster.store, target.kind

    def wanted(document: Json | None) -> bool:
        return document is not None and selectors.selects(labels, document) and selectors.fields_match(fields, document)

    def shown(event: str, document: Json) -> Json:
        item = tables.table(kind.kind, [document], "") if _as_table(call) else document
        return {"type": event, "object": item}

    start = call.query.get("resourceVersion", "")
    if start in {"", "0"}:
        with store.lock:
            found, revision = store.listed(kind.qualified, target.namespace), store.revision
        yield from (shown("ADDED", item) for item in found if wanted(item))
    else:
        revision = int(start) if start.isdigit() else 0
    while time.monotonic() < deadline and not store.closed:
        try:
            events = store.since(revision, min(30.0, deadline - time.monotonic()))
        except TooOldError as error:
            yield {"type": "ERROR", "object": errors.expired(str(error)).status()}
            return
        for event in events:
            revision = event.revision
            if event.key.resource == kind.qualified and target.namespace in ("", event.key.namespace):
                change = _seen(event, wanted(event.before), wanted(event.object))
                if change:
                    yield shown(change, event.object)
        if not events and call.flag("allowWatchBookmarks"):
            bookmark = {
                "kind": kind.kind,
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(revision)},
            }
            yield {"type": "BOOKMARK", "object": bookmark}


def _seen(event: Event, before: bool, after: bool) -> str:
    """Return the change as somebody sees it who watches only what a selector matches."""
    if event.type == "DELETED":
        return "DELETED" if before else ""
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""
