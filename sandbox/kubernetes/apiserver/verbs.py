"""API verbs on a cluster's objects: create, get, update, patch, apply, delete.

Each write passes the API server's steps before anything is stored: decoding, defaults, admission,
validation, field managers. Over 400 lines: one class, whose verbs share these steps.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.admission import chain
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.kinds import Kind, KindTable
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.apiserver import (
    defaults,
    managed_fields,
    patches,
    server_side_apply,
    write_checks,
)
from sandbox.kubernetes.apiserver.object_meta import (
    check_preconditions,
    finalizers_of,
    is_unchanged,
    now,
    random_suffix,
    set_namespace,
    without_nulls,
)
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Json, Key, ObjectStore
from sandbox.kubernetes.validation import objects

_PRESERVED_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)
SYSTEM = "sandbox-controllers"


@dataclass(kw_only=True)
class WriteOptions:
    """The options of a write, and the warnings that it collects."""

    manager: str = SYSTEM
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


class Api:
    """The objects of one cluster."""

    def __init__(self, schema: Schema, store: ObjectStore, state: ClusterState) -> None:
        self.schema, self.store, self.state = schema, store, state
        self.kinds: KindTable = schema.kinds()
        # Whether a kubelet ends pods within their grace period; otherwise they are deleted at once.
        self.graceful_deletion = False

    def kind(self, api_version: str, kind: str) -> Kind:
        """Return a served kind. Raises NotFound."""
        resource = self.kinds.by_name(api_version, kind)
        if resource is None:
            raise errors.no_such_path()
        return resource

    def key(self, kind: Kind, namespace: str, name: str) -> Key:
        """Return an object's storage key."""
        return Key(kind.group_resource, namespace if kind.namespaced else "", name)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object. Raises NotFound."""
        document = self.store.get(self.key(kind, namespace, name))
        if document is None:
            raise errors.not_found(kind, name)
        return document

    def create(
        self, kind: Kind, namespace: str, document: Mapping[str, Any], options: WriteOptions
    ) -> Json:
        """Create an object and return it as stored."""
        new = self._decode(kind, document, options)
        metadata = new.setdefault("metadata", {})
        set_namespace(kind, metadata, namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + random_suffix()
        if metadata.get("resourceVersion"):
            raise errors.ApiError(
                500, "", "resourceVersion should not be set on objects to be created"
            )
        with self.store.lock:
            return self._create(kind, new, options)

    def _create(
        self,
        kind: Kind,
        new: Json,
        options: WriteOptions,
        owner: managed_fields.FieldManager | None = None,
    ) -> Json:
        metadata = new["metadata"]
        name = metadata.get("name", "")
        key = self.key(kind, metadata.get("namespace", ""), name)
        chain.check_namespace(self.state, kind, metadata.get("namespace", ""), name)
        if self.store.exists(key):
            raise errors.already_exists(kind, name)
        for part in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(part, None)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        if kind.kind in defaults.WITH_GENERATION or not kind.definition:
            metadata["generation"] = 1
        if owner is None:
            metadata.pop("managedFields", None)
        if options.manager != SYSTEM and kind.kind not in {"Node"}:
            new.pop("status", None)
        if "status" not in new and (status := defaults.initial_status(kind)) is not None:
            new["status"] = status
        self.schema.normalize(kind, new)
        defaults.set_defaults(kind, new)
        if owner is None and options.manager != SYSTEM:
            manager = managed_fields.FieldManager(
                options.manager, "Update", kind.api_version, "", now()
            )
            # Nobody owns the status of a new object, nor what admission adds.
            owned = {part: value for part, value in new.items() if part != "status"}
            managed_fields.record_update(
                self.schema, self.schema.definition(kind.definition), None, owned, manager
            )
        defaults.allocate(kind, new, self.state)
        chain.mutate(self.state, kind, new)
        defaults.complete_status(kind, new)
        self._validate(kind, new, None)
        chain.validate(self.state, kind, new, None, options.warnings)
        if options.dry_run:
            return new
        return self.store.put(key, new)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        document: Mapping[str, Any],
        options: WriteOptions,
        subresource: str = "",
    ) -> Json:
        """Replace an object or its status and return it as stored."""
        new = self._decode(kind, document, options)
        metadata = new.setdefault("metadata", {})
        set_namespace(kind, metadata, namespace)
        if metadata.get("name", name) != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the "
                f"URL ({name})"
            )
        with self.store.lock:
            live = self.get(kind, namespace, name)
            if kind.kind == "CustomResourceDefinition" and "resourceVersion" not in metadata:
                raise write_checks.without_resource_version(kind, name)
            return self._replace(kind, live, new, options, subresource)

    def _replace(  # noqa: PLR0912 - one branch per rule
        self,
        kind: Kind,
        live: Json,
        new: Json,
        options: WriteOptions,
        subresource: str,
        *,
        applied: bool = False,
    ) -> Json:
        name, metadata, old = live["metadata"]["name"], new["metadata"], live["metadata"]
        resource_version = metadata.get("resourceVersion")
        if resource_version and resource_version != old["resourceVersion"]:
            raise errors.conflict(kind, name)
        if metadata.get("uid") and metadata["uid"] != old["uid"]:
            # The API server reads the precondition in its storage.
            storage_key = "/".join(
                part for part in ("/registry", kind.plural, old.get("namespace"), name) if part
            )
            raise errors.conflict(
                kind,
                name,
                f"StorageError: invalid object, Code: 4, Key: {storage_key}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: Precondition failed: UID in precondition: {metadata['uid']}, "
                f"UID in object meta: {old['uid']}",
            )
        # Clients that send managedFields replace them, as kubectl does to move ownership.
        managed = (
            metadata.get("managedFields")
            if applied or "managedFields" in metadata
            else old.get("managedFields")
        )
        if subresource == "status":
            new = {**live, "status": new.get("status", {}), "metadata": {**old}}
            metadata = new["metadata"]
        elif "status" in live and "status" in kind.subresources:
            new["status"] = live["status"]
        elif "status" in kind.subresources:
            new.pop("status", None)
        for part in _PRESERVED_METADATA:
            metadata.pop(part, None)
            if part in old:
                metadata[part] = copy.deepcopy(old[part])
        metadata.pop("managedFields", None)
        if managed:
            metadata["managedFields"] = managed
        metadata["name"], metadata["resourceVersion"] = name, old["resourceVersion"]
        self.schema.normalize(kind, new)
        defaults.set_defaults(kind, new)
        defaults.allocate(kind, new, self.state, live)
        if old.get("deletionTimestamp"):
            write_checks.check_finalizers(kind, name, old, metadata)
        self._validate(kind, new, live)
        chain.validate(self.state, kind, new, live, options.warnings)
        if "generation" in old and any(
            new.get(part) != live.get(part)
            for part in new.keys() | live.keys()
            if part not in {"metadata", "status"}
        ):
            metadata["generation"] = old["generation"] + 1
        if not applied and options.manager != SYSTEM:
            manager = managed_fields.FieldManager(
                options.manager, "Update", kind.api_version, subresource, now()
            )
            before = {**live, "metadata": {**old, "managedFields": managed or []}}
            managed_fields.record_update(
                self.schema, self.schema.definition(kind.definition), before, new, manager
            )
        if options.dry_run or is_unchanged(new, live):
            return new if options.dry_run else live
        key = self.key(kind, old.get("namespace", ""), name)
        stored = self.store.put(key, new)
        if stored["metadata"].get("deletionTimestamp") and not finalizers_of(kind, stored):
            self.store.remove(key)
        return stored

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        content_type: str,
        patch: Any,
        options: WriteOptions,
        subresource: str = "",
    ) -> Json:
        """Apply a JSON, merge or strategic merge patch, according to the media type."""
        with self.store.lock:
            live = self.get(kind, namespace, name)
            base = copy.deepcopy(live)
            if content_type == "application/json-patch+json":
                new = patches.json_patch(base, patch)
            elif content_type == "application/merge-patch+json":
                if not isinstance(patch, Mapping):
                    raise errors.bad_request(
                        "error decoding patch: json: cannot unmarshal array into Go value of type "
                        "map[string]interface {}"
                    )
                new = patches.merge_patch(base, patch)
            elif content_type == "application/strategic-merge-patch+json":
                if not kind.definition:
                    raise errors.ApiError(
                        415,
                        "UnsupportedMediaType",
                        "the body of the request was in an unknown format - accepted media "
                        "types include: "
                        "application/json-patch+json, application/merge-patch+json, "
                        "application/apply-patch+yaml",
                    )
                new = patches.strategic_merge(
                    self.schema, self.schema.definition(kind.definition), copy.deepcopy(base), patch
                )
            else:
                raise errors.ApiError(
                    415, "UnsupportedMediaType", f"unknown patch type {content_type}"
                )
            write_checks.check_patched(
                self.schema,
                kind,
                new,
                patch,
                strict=options.validation == "Strict",
                strategic="strategic" in content_type,
            )
            return self.update(kind, namespace, name, new, options, subresource)

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        document: Mapping[str, Any],
        options: WriteOptions,
        subresource: str = "",
    ) -> tuple[Json, bool]:
        """Apply server-side; return the object and whether it was created."""
        problems = self.schema.check(kind, document)
        reasons = [f".{path}: field not declared in schema" for path in problems.unknown]
        reasons += [write_checks.typed_problem(text) for text in problems.types]
        definition = self.schema.definition(kind.definition)
        if not reasons and (
            duplicate := server_side_apply.duplicate_entry(self.schema, definition, document)
        ):
            reasons.append(duplicate)
        if reasons:
            stated = (document.get("metadata") or {}).get("namespace", "")
            object_path = f"{stated}/{name}"
            raise errors.ApiError(
                500,
                "",
                f"failed to create typed patch object ({object_path}; {kind.api_version}, "
                f"Kind={kind.kind}): {'; '.join(reasons)}",
            )
        document = without_nulls(document)
        assert isinstance(document, dict)  # noqa: S101 - a copy of a mapping
        stated_type = (document.get("apiVersion", ""), document.get("kind", ""))
        if stated_type != (kind.api_version, kind.kind):
            group_version = stated_type[0] if "/" in stated_type[0] else f"/{stated_type[0]}"
            raise errors.bad_request(f"invalid object type: {group_version}, Kind={stated_type[1]}")
        metadata = document.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        set_namespace(kind, metadata, namespace)
        metadata.setdefault("name", name)
        if metadata["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the "
                f"URL ({name})"
            )
        node = self.schema.definition(kind.definition)
        manager = managed_fields.FieldManager(
            options.manager, "Apply", kind.api_version, subresource, now()
        )
        with self.store.lock:
            live = self.store.get(self.key(kind, namespace, name))
            merged = server_side_apply.apply(
                self.schema, node, live, document, manager, force=options.force
            )
            if live is None:
                if subresource:
                    raise errors.not_found(kind, name)
                merged["metadata"]["name"] = name
                return self._create(kind, merged, options, owner=manager), True
            return self._replace(kind, live, merged, options, subresource, applied=True), False

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        dry_run: bool = False,
    ) -> tuple[Json, bool]:
        """Delete an object; return its last state and whether no finalizer keeps it."""
        options = options or {}
        with self.store.lock:
            live = self.get(kind, namespace, name)
            write_checks.check_deletion(kind, name, options)
            check_preconditions(kind, live, options.get("preconditions") or {})
            if dry_run:
                return live, True
            grace = self._grace_seconds(kind, live, options)
            finalizers = list(live["metadata"].get("finalizers") or ())
            policy = options.get("propagationPolicy")
            if policy == "Foreground" and "foregroundDeletion" not in finalizers:
                finalizers.append("foregroundDeletion")
            if policy == "Orphan" and "orphan" not in finalizers:
                finalizers.append("orphan")
            key = self.key(kind, namespace, name)
            changed = {
                **live,
                "metadata": {
                    **live["metadata"],
                    **({"finalizers": finalizers} if finalizers else {}),
                },
            }
            if not finalizers_of(kind, changed) and not grace:
                removed = self.store.remove(key)
                if kind.kind == "Pod":
                    removed["metadata"].setdefault("deletionTimestamp", now())
                    removed["metadata"]["deletionGracePeriodSeconds"] = 0
                    if not live["metadata"].get("deletionTimestamp"):
                        removed["metadata"]["generation"] = live["metadata"]["generation"] + 1
                return removed, True
            if not live["metadata"].get("deletionTimestamp"):
                changed["metadata"]["deletionTimestamp"] = now(grace)
                if kind.kind != "Namespace":
                    changed["metadata"]["deletionGracePeriodSeconds"] = grace
                if "generation" in changed["metadata"]:
                    changed["metadata"]["generation"] += 1
                if kind.kind == "Namespace":
                    changed["status"] = {**(live.get("status") or {}), "phase": "Terminating"}
            return (self.store.put(key, changed) if changed != live else live), False

    def _grace_seconds(self, kind: Kind, live: Json, options: Mapping[str, Any]) -> int:
        """Return the seconds that a pod's containers get to end; 0 for every other object."""
        ended = (live.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        runs = kind.kind == "Pod" and live["spec"].get("nodeName") and not ended
        if not (self.graceful_deletion and runs):
            return 0
        requested = options.get("gracePeriodSeconds")
        default = live["spec"].get("terminationGracePeriodSeconds", 30)
        return int(default if requested is None else requested)

    def _decode(self, kind: Kind, document: Mapping[str, Any], options: WriteOptions) -> Json:
        if not isinstance(document, Mapping):
            reason = (
                "unexpected end of JSON input (<empty>)"
                if document is None
                else f"it is no object but a {type(document).__name__}"
            )
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get "
                f"version/kind; json parse error: {reason}"
            )
        stated_version = document.get("apiVersion", kind.api_version)
        if stated_version != kind.api_version:
            raise errors.bad_request(
                f"the API version in the data ({stated_version}) does not match the expected API "
                f"version ({kind.api_version})"
            )
        data_type = (document.get("apiVersion", kind.api_version), document.get("kind", kind.kind))
        if data_type != (kind.api_version, kind.kind):
            raise errors.bad_request(
                f"the API version in the data ({data_type[0]}, {data_type[1]}) does not match "
                "the expected API version "
                f"({kind.api_version}, {kind.kind})"
            )
        problems = self.schema.check(kind, document)
        if problems.types:
            raise errors.bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"{problems.types[0]}"
            )
        if problems.unknown:
            listed = [f'unknown field "{path}"' for path in problems.unknown]
            if options.validation == "Strict":
                raise errors.bad_request(
                    f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                    f"strict decoding error: {', '.join(listed)}"
                )
            if options.validation == "Warn":
                options.warnings += listed
        new = self.schema.prune(kind, without_nulls(document))
        new.update(apiVersion=kind.api_version, kind=kind.kind)
        return new

    def _validate(self, kind: Kind, new: Json, live: Json | None) -> None:
        causes: Sequence[errors.Cause] = [
            *self.schema.check(kind, new).missing,
            *objects.validate_object(kind, new, live, self.state),
        ]
        if causes:
            raise errors.invalid(kind, new["metadata"].get("name", ""), causes)
