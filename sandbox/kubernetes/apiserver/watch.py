"""Watches: the events of objects that match a request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from sandbox.kubernetes.apimachinery import errors, selectors
from sandbox.kubernetes.apiserver import tables
from sandbox.kubernetes.apiserver.messages import ApiRequest, Target
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Event, ExpiredRevisionError, Json


def watch_events(cluster: Cluster, request: ApiRequest, target: Target) -> Iterator[Json]:
    """Return watch events until the client's timeout, at most for an hour.

    Raises ApiError for an invalid request.
    """
    labels = selectors.parse_labels(request.query.get("labelSelector", ""))
    fields = selectors.parse_fields(request.query.get("fieldSelector", ""), target.kind.kind)
    if target.name:
        fields.append(("metadata.name", True, target.name))
    start = request.query.get("resourceVersion", "")
    if start and not start.isdigit():
        error = errors.invalid_resource_version(start)
        raise errors.ApiError(500, "", error.message)  # as Kubernetes answers a watch
    return _events(cluster, request, target, labels, fields)


def _events(
    cluster: Cluster,
    request: ApiRequest,
    target: Target,
    labels: Sequence[selectors.Requirement],
    fields: Sequence[tuple[str, bool, str]],
) -> Iterator[Json]:
    deadline = time.monotonic() + float(request.query.get("timeoutSeconds") or 3600)
    store, kind = cluster.store, target.kind

    def selected(document: Json | None) -> bool:
        return (
            document is not None
            and selectors.selects(labels, document)
            and selectors.fields_match(fields, document)
        )

    def watch_event(event: str, document: Json) -> Json:
        item = tables.table(kind.kind, [document], "") if request.as_table else document
        return {"type": event, "object": item}

    start = request.query.get("resourceVersion", "")
    if start in {"", "0"}:
        with store.lock:
            objects, revision = (
                store.list_objects(kind.group_resource, target.namespace),
                store.revision,
            )
        yield from (watch_event("ADDED", item) for item in objects if selected(item))
    else:
        revision = int(start)
    while time.monotonic() < deadline and not store.closed:
        try:
            events = store.events_since(revision, min(30.0, deadline - time.monotonic()))
        except ExpiredRevisionError as error:
            yield {"type": "ERROR", "object": errors.expired(str(error)).status()}
            return
        for event in events:
            revision = event.revision
            if event.key.resource == kind.group_resource and target.namespace in (
                "",
                event.key.namespace,
            ):
                change = _selected_event(event, selected(event.before), selected(event.object))
                if change:
                    yield watch_event(change, event.object)
        if not events and request.flag("allowWatchBookmarks"):
            bookmark = {
                "kind": kind.kind,
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(revision)},
            }
            yield {"type": "BOOKMARK", "object": bookmark}


def _selected_event(event: Event, before: bool, after: bool) -> str:
    """Return the event for a watch with a selector."""
    if event.type == "DELETED":
        return "DELETED" if before else ""
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""
