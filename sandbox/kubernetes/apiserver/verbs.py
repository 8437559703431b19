"""The verbs of the Kubernetes API on one cluster's objects: create, read, update, patch, apply, delete.

Every write goes through the same steps as in the API server: decode against the schema, defaults, admission,
rules, field managers, storage. Nothing is stored before all of them have passed.
"""

from __future__ import annotations

import copy
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.kubernetes.admission import chain
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind, KindTable
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver import defaults, managed_fields, patches
from sandbox.kubernetes.storage.object_store import Json, Key, Store
from sandbox.kubernetes.validation import objects

_CONSONANTS = "bcdfghjklmnpqrstvwxz2456789"
_KEPT_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)
SYSTEM = "sandbox-controllers"


@dataclass(kw_only=True)
class Write:
    """How a write is meant: its field manager, whether it is a dry run, and the warnings that it collects."""

    manager: str = SYSTEM
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


def now() -> str:
    """Return the time as Kubernetes writes it, to the second, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix(length: int = 5) -> str:
    """Return letters as `generateName` appends them."""
    return "".join(secrets.choice(_CONSONANTS) for _ in range(length))


class Api:
    """The objects of one cluster and what may be done to them."""

    def __init__(self, schema: Schema, store: Store, context: chain.Context) -> None:
        self.schema, self.store, self.context = schema, store, context
        self.kinds: KindTable = schema.kinds()

    def kind(self, api_version: str, kind: str) -> Kind:
        """Return a kind that is known to exist."""
        found = self.kinds.named(api_version, kind)
        if found is None:
            raise errors.no_such_path()
        return found

    def key(self, kind: Kind, namespace: str, name: str) -> Key:
        """Return the place of an object."""
        return Key(kind.qualified, namespace if kind.namespaced else "", name)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object; raises NotFound."""
        found = self.store.get(self.key(kind, namespace, name))
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def create(self, kind: Kind, namespace: str, document: Mapping[str, Any], how: Write) -> Json:
        """Create an object and return it as stored."""
        new = self._decode(kind, document, how)
        metadata = new.setdefault("metadata", {})
        _place(kind, metadata, namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + random_suffix()
        if metadata.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        with self.store.lock:
            return self._create(kind, new, how)

    def _create(self, kind: Kind, new: Json, how: Write, owner: managed_fields.Manager | None = None) -> Json:
        metadata = new["metadata"]
        name = metadata.get("name", "")
        key = self.key(kind, metadata.get("namespace", ""), name)
        chain.namespace_accepts(self.context, kind, metadata.get("namespace", ""), name)
        if self.store.exists(key):
            raise errors.already_exists(kind, name)
        for part in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(part, None)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        if "spec" in new or kind.kind in defaults.GENERATED:
            metadata["generation"] = 1
        if owner is None:
            metadata.pop("managedFields", None)
        if how.manager != SYSTEM and kind.kind not in {"Node"}:
            new.pop("status", None)
        if "status" not in new and (status := defaults.unseen_status(kind)) is not None:
            new["status"] = status
        defaults.fill(kind, new, self.context)
        chain.mutate(self.context, kind, new)
        self._validate(kind, new, None)
        chain.validate(self.context, kind, new, None, how.warnings)
        if owner is None and how.manager != SYSTEM:
            who = managed_fields.Manager(how.manager, "Update", kind.api_version, "", now())
            managed_fields.record_update(self.schema, self.schema.definition(kind.definition), None, new, who)
        if how.dry_run:
            return new
        return self.store.put(key, new)

    def update(
        self, kind: Kind, namespace: str, name: str, document: Mapping[str, Any], how: Write, subresource: str = ""
    ) -> Json:
        """Replace an object (or its status) and return it as stored."""
        new = self._decode(kind, document, how)
        metadata = new.setdefault("metadata", {})
        _place(kind, metadata, namespace)
        if metadata.get("name", name) != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        with self.store.lock:
            live = self.get(kind, namespace, name)
            return self._replace(kind, live, new, how, subresource)

    def _replace(
        self, kind: Kind, live: Json, new: Json, how: Write, subresource: str, *, applied: bool = False
    ) -> Json:
        name, metadata, old = live["metadata"]["name"], new["metadata"], live["metadata"]
        wanted = metadata.get("resourceVersion")
        if wanted and wanted != old["resourceVersion"]:
            raise errors.conflict(kind, name)
        if metadata.get("uid") and metadata["uid"] != old["uid"]:
            raise errors.conflict(
                kind,
                name,
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {old['uid']}",
            )
        # A client that sends managedFields means them (kubectl moves ownership that way); most send none.
        managed = metadata.get("managedFields") if applied or "managedFields" in metadata else old.get("managedFields")
        if subresource == "status":
            new = {**live, "status": new.get("status", {}), "metadata": {**old}}
            metadata = new["metadata"]
        elif "status" in live and "status" in kind.subresources:
            new["status"] = live["status"]
        elif "status" in kind.subresources:
            new.pop("status", None)
        for part in _KEPT_METADATA:
            metadata.pop(part, None)
            if part in old:
                metadata[part] = copy.deepcopy(old[part])
        metadata.pop("managedFields", None)
        if managed:
            metadata["managedFields"] = managed
        metadata["name"], metadata["resourceVersion"] = name, old["resourceVersion"]
        defaults.fill(kind, new, self.context, live)
        self._validate(kind, new, live)
        chain.validate(self.context, kind, new, live, how.warnings)
        if "generation" in old and any(
            new.get(part) != live.get(part) for part in new.keys() | live.keys() if part not in {"metadata", "status"}
        ):
            metadata["generation"] = old["generation"] + 1
        if not applied and how.manager != SYSTEM:
            who = managed_fields.Manager(how.manager, "Update", kind.api_version, subresource, now())
            before = {**live, "metadata": {**old, "managedFields": managed or []}}
            managed_fields.record_update(self.schema, self.schema.definition(kind.definition), before, new, who)
        if how.dry_run or _same(new, live):
            return new if how.dry_run else live
        key = self.key(kind, old.get("namespace", ""), name)
        stored = self.store.put(key, new)
        if stored["metadata"].get("deletionTimestamp") and not _finalizers(kind, stored):
            self.store.remove(key)
        return stored

    def patch(
        self, kind: Kind, namespace: str, name: str, content_type: str, patch: Any, how: Write, subresource: str = ""
    ) -> Json:
        """Apply a JSON, merge or strategic merge patch; the media type says which."""
        with self.store.lock:
            live = self.get(kind, namespace, name)
            base = copy.deepcopy(live)
            if content_type == "application/json-patch+json":
                new = patches.json_patch(base, patch)
            elif content_type == "application/merge-patch+json":
                new = patches.merge_patch(base, patch)
            elif content_type == "application/strategic-merge-patch+json":
                if not kind.definition:
                    raise errors.ApiError(
                        415, "UnsupportedMediaType",
                        "the body of the request was in an unknown format - accepted media types include: "
                        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                    )  # fmt: skip
                new = patches.strategic_merge(
                    self.schema, self.schema.definition(kind.definition), copy.deepcopy(base), patch
                )
            else:
                raise errors.ApiError(415, "UnsupportedMediaType", f"unknown patch type {content_type}")
            return self.update(kind, namespace, name, new, how, subresource)

    def apply(
        self, kind: Kind, namespace: str, name: str, document: Mapping[str, Any], how: Write, subresource: str = ""
    ) -> tuple[Json, bool]:
        """Server-side apply; returns the object and whether it is new."""
        problems = self.schema.check(kind, document)
        if problems.unknown or problems.types:
            what = [f".{path}: field not declared in schema" for path in problems.unknown] + problems.types
            place = f"{namespace}/{name}" if kind.namespaced else f"/{name}"
            raise errors.bad_request(
                f"failed to create typed patch object ({place}; {kind.api_version}, Kind={kind.kind}): {'; '.join(what)}"
            )
        document = _without_nulls(document)
        assert isinstance(document, dict)  # noqa: S101 - a copy of a mapping
        if document.get("apiVersion") != kind.api_version or document.get("kind") != kind.kind:
            raise errors.bad_request(f"the object must be of apiVersion {kind.api_version}, kind {kind.kind}")
        metadata = document.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        _place(kind, metadata, namespace)
        metadata.setdefault("name", name)
        if metadata["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        node = self.schema.definition(kind.definition)
        who = managed_fields.Manager(how.manager, "Apply", kind.api_version, subresource, now())
        with self.store.lock:
            live = self.store.get(self.key(kind, namespace, name))
            merged = managed_fields.apply(self.schema, node, live, document, who, force=how.force)
            if live is None:
                if subresource:
                    raise errors.not_found(kind, name)
                merged["metadata"]["name"] = name
                return self._create(kind, merged, how, owner=who), True
            return self._replace(kind, live, merged, how, subresource, applied=True), False

    def delete(
        self, kind: Kind, namespace: str, name: str, options: Mapping[str, Any] | None = None, *, dry_run: bool = False
    ) -> tuple[Json, bool]:
        """Delete an object; returns its last state and whether it is gone (else it waits for finalizers)."""
        options = options or {}
        with self.store.lock:
            live = self.get(kind, namespace, name)
            _preconditions(kind, live, options.get("preconditions") or {})
            if dry_run:
                return live, True
            finalizers = list(live["metadata"].get("finalizers") or ())
            policy = options.get("propagationPolicy")
            if policy == "Foreground" and "foregroundDeletion" not in finalizers:
                finalizers.append("foregroundDeletion")
            if policy == "Orphan" and "orphan" not in finalizers:
                finalizers.append("orphan")
            key = self.key(kind, namespace, name)
            changed = {**live, "metadata": {**live["metadata"], **({"finalizers": finalizers} if finalizers else {})}}
            if not _finalizers(kind, changed):
                return self.store.remove(key), True
            if not live["metadata"].get("deletionTimestamp"):
                changed["metadata"].update(deletionTimestamp=now(), deletionGracePeriodSeconds=0)
                if "generation" in changed["metadata"]:
                    changed["metadata"]["generation"] += 1
                if kind.kind == "Namespace":
                    changed["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
            return (self.store.put(key, changed) if changed != live else live), False

    def _decode(self, kind: Kind, document: Mapping[str, Any], how: Write) -> Json:
        if not isinstance(document, Mapping):
            raise errors.bad_request(f"the body of the request is not an object of kind {kind.kind}")
        given = (document.get("apiVersion", kind.api_version), document.get("kind", kind.kind))
        if given != (kind.api_version, kind.kind):
            raise errors.bad_request(
                f"the API version in the data ({given[0]}, {given[1]}) does not match the expected API version "
                f"({kind.api_version}, {kind.kind})"
            )
        problems = self.schema.check(kind, document)
        if problems.types:
            raise errors.bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {problems.types[0]}'
            )
        if problems.unknown:
            listed = [f'unknown field "{path}"' for path in problems.unknown]
            if how.validation == "Strict":
                raise errors.bad_request(
                    f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                    f"strict decoding error: {', '.join(listed)}"
                )
            if how.validation == "Warn":
                how.warnings += listed
        new = self.schema.prune(kind, _without_nulls(document))
        new.update(apiVersion=kind.api_version, kind=kind.kind)
        return new

    def _validate(self, kind: Kind, new: Json, live: Json | None) -> None:
        causes: Sequence[errors.Cause] = [
            *self.schema.check(kind, new).missing,
            *objects.check(kind, new, live, self.context),
        ]
        if causes:
            raise errors.invalid(kind, new["metadata"].get("name", ""), causes)


def _place(kind: Kind, metadata: Json, namespace: str) -> None:
    if not kind.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request "
            f"({metadata['namespace']} != {namespace})"
        )


def _preconditions(kind: Kind, live: Json, wanted: Mapping[str, Any]) -> None:
    for name, key in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(name) and wanted[name] != live["metadata"][name]:
            raise errors.conflict(
                kind, live["metadata"]["name"],
                f"Precondition failed: {key} in precondition: {wanted[name]}, {key} in object meta: {live['metadata'][name]}",
            )  # fmt: skip


def _finalizers(kind: Kind, document: Json) -> list[str]:
    found = list(document["metadata"].get("finalizers") or ())
    if kind.kind == "Namespace":
        found += document.get("spec", {}).get("finalizers") or []
    return found


def _same(new: Json, live: Json) -> bool:
    """Compare two states of an object, blind to who manages which field since when."""

    def content(document: Json) -> Json:
        managed = [
            {k: v for k, v in entry.items() if k != "time"} for entry in document["metadata"].get("managedFields") or ()
        ]
        return {**document, "metadata": {**document["metadata"], "managedFields": managed}}

    return content(new) == content(live)


def _without_nulls(value: Any) -> Any:
    """Copy a document without the nulls, which Kubernetes reads as absent."""
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
