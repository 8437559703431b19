"""One configured Kubernetes provider: check, diff, apply, wait, read and delete of any object of the API."""

# ruff: noqa: ARG002 -- the base class names the arguments
from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import schema as schemas
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.schema import Schema
from sandbox.kubernetes.storage.object_store import Json
from sandbox.providers.kubernetes import ignored_changes, objects, readiness
from sandbox.providers.kubernetes.client import Client, RefusedError, UnreachableError
from sandbox.providers.property_values import UNKNOWN, is_known
from sandbox.providers.protocol import (
    Checked,
    Connection,
    Created,
    Difference,
    Failure,
    Found,
    PartialFailure,
    Properties,
    Resource,
    Updated,
)

_SECRET_PARTS = (("data",), ("stringData",))
_APPLY = "application/apply-patch+yaml"


class Kubernetes(Connection):
    """The Kubernetes provider with one configuration; without a known kubeconfig it can only check and preview."""

    def __init__(self, config: Properties) -> None:
        self._config = config
        kubeconfig = config.get("kubeconfig", os.environ.get("KUBECONFIG", ""))
        self._client: Client | None = None
        if kubeconfig and is_known(config):
            self._client = Client(kubeconfig, str(config.get("context") or ""), str(config.get("cluster") or ""))
        self._version: Schema | None = None
        mutable = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
        self._mutable = frozenset(kind for kind, name in mutable.items() if self._flag(name))

    # Configuration

    def _flag(self, name: str) -> bool:
        value = self._config.get(name)
        if value is None:
            words = "".join(f"_{c}" if c.isupper() else c.upper() for c in name)
            value = os.environ.get(f"PULUMI_K8S_{words.replace('CONFIG_MAP', 'CONFIGMAP')}", "")
        return value in (True, "true", "True", "1")

    def _schema(self) -> Schema:
        """Return the schema of the cluster's version; of the newest one while the cluster can't say."""
        if self._version is None:
            known = schemas.versions()
            version = known[-1]
            if self._client is not None:
                try:
                    found = self._client.request("GET", "/version")[0]
                    version = f"{found['major']}.{str(found['minor']).rstrip('+')}"
                except (RefusedError, UnreachableError):
                    return schemas.load(version)
            self._version = schemas.load(version if version in known else known[-1])
        return self._version

    def _namespace(self) -> str:
        given = self._config.get("namespace")
        if given is UNKNOWN:
            return "default"
        return str(given or (self._client.namespace if self._client else "") or "default")

    def _reached(self, resource: Resource) -> Client:
        if self._client is None:
            raise Failure(
                f"{resource.type} needs a cluster, and the provider's kubeconfig isn't set or not yet known. Give the provider a `kubeconfig`."
            )
        return self._client

    # The life of a resource

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Fill in apiVersion, kind, name and namespace; report what the API server would refuse."""
        schema = self._schema()
        kind = objects.kind_of(resource.type, schema)
        inputs: Json = json_copy(new)
        inputs.setdefault("apiVersion", kind.api_version)
        inputs.setdefault("kind", kind.kind)
        metadata = inputs.setdefault("metadata", {})
        if metadata is not UNKNOWN:
            self._name(resource, kind, metadata, old.get("metadata") or {}, seed)
        failures = objects.problems(schema, kind, inputs)
        return Checked(inputs, failures)

    def _name(self, resource: Resource, kind: Kind, metadata: Json, old: Any, seed: bytes) -> None:
        notes = old.get("annotations") if isinstance(old, Mapping) else None
        if "name" not in metadata and "generateName" not in metadata:
            kept = isinstance(notes, Mapping) and notes.get(objects.AUTONAMED) == "true"
            metadata["name"] = old["name"] if kept else objects.autoname(resource.name, seed, resource.urn)
            if metadata.get("annotations") is not UNKNOWN:
                metadata["annotations"] = {**(metadata.get("annotations") or {}), objects.AUTONAMED: "true"}
        if kind.namespaced:
            metadata.setdefault("namespace", self._namespace())

    def diff(
        self, resource: Resource, id: str, old_inputs: Properties, old_state: Properties, new_inputs: Properties
    ) -> Difference:
        """Compare inputs property by property; a replaced object that keeps its name is deleted first."""
        kind = objects.kind_of(resource.type, self._schema())
        changes = objects.differences(kind, old_inputs, new_inputs, self._mutable)
        old, new = old_inputs.get("metadata") or {}, new_inputs.get("metadata") or {}
        same_place = isinstance(new, Mapping) and all(old.get(k) == new.get(k) for k in ("name", "namespace"))
        autonamed = isinstance(new, Mapping) and (new.get("annotations") or {}).get(objects.AUTONAMED) == "true"
        replaced = any(change.replaces for change in changes.values())
        return Difference(changes, delete_before_replace=replaced and same_place and not autonamed)

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Apply the object and wait until it is ready; in a preview, as a dry run where the cluster is known."""
        kind = objects.kind_of(resource.type, self._schema())
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        manager = f"pulumi-kubernetes-{secrets.token_hex(4)}"
        if preview:
            return Created("", self._foreseen(resource, kind, inputs, manager, new=True), hidden)
        document = objects.plain(inputs)
        namespace, name = document["metadata"].get("namespace", ""), document["metadata"].get("name", "")
        client = self._reached(resource)
        if name and not self._flag("upsertExistingObjects") and self._get(client, kind, namespace, name) is not None:
            raise Failure(
                f'resource "{objects.identifier(kind, document)}" already exists ({kind.api_version} {kind.kind}). '
                f"Import it (`pulumi import {resource.type} {resource.name} {objects.identifier(kind, document)}`), "
                "or set the provider's upsertExistingObjects to adopt what exists."
            )
        if name:
            live = self._apply(resource, client, kind, document, manager)
        else:
            live = self._call(
                resource, client, "POST", objects.path(kind, namespace), document, {"fieldManager": manager}
            )
        live = self._settled(resource, client, kind, live, manager)
        return Created(objects.identifier(kind, live), objects.state_of(live, manager), hidden)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
        preview: bool,
    ) -> Updated:
        """Apply the object again under the same field manager."""
        schema = self._schema()
        kind = objects.kind_of(resource.type, schema)
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        manager = str(old_state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}")
        if preview:
            return Updated(self._foreseen(resource, kind, new_inputs, manager, new=False), hidden)
        client, document = self._reached(resource), objects.plain(new_inputs)
        if resource.ignored:
            namespace, name = objects.split_identifier(kind, id, self._namespace())
            standing = self._get(client, kind, namespace, name)
            if standing is not None:
                document = ignored_changes.without_foreign(schema, kind, document, standing, manager, resource.ignored)
        live = self._apply(resource, client, kind, document, manager)
        live = self._settled(resource, client, kind, live, manager)
        return Updated(objects.state_of(live, manager), hidden)

    def read(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> Found | None:
        """Look the object up; its inputs are what it has where the program says something."""
        kind = objects.kind_of(resource.type, self._schema())
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        namespace, name = objects.split_identifier(kind, id, self._namespace())
        client = self._reached(resource)
        try:
            live = self._get(client, kind, namespace, name)
        except UnreachableError as error:
            if self._flag("deleteUnreachable"):
                resource.log("warning", f"the cluster is unreachable: {id} is removed from the state")
                return None
            if self._flag("skipUpdateUnreachable"):
                resource.log("warning", f"the cluster is unreachable: {id} is left as it was")
                return Found(id, state, inputs, hidden)
            raise Failure(_unreachable(error)) from None
        if live is None:
            return None
        manager = str(state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}")
        shown = objects.with_string_data(live, inputs)
        known = objects.project(shown, inputs) if inputs else objects.importable(live)
        return Found(objects.identifier(kind, live), objects.state_of(live, manager), known, hidden)

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Delete the object and wait until it is gone."""
        kind = objects.kind_of(resource.type, self._schema())
        namespace, name = objects.split_identifier(kind, id, self._namespace())
        notes = _annotations(inputs) or _annotations(state)
        policy = str(notes.get("pulumi.com/deletionPropagationPolicy", "foreground")).capitalize()
        client = self._reached(resource)
        try:
            client.request("DELETE", objects.path(kind, namespace, name), {"propagationPolicy": policy})
            if notes.get("pulumi.com/skipAwait") != "true":
                watcher = readiness.Watcher(client, kind, namespace, name, resource.cancelled)
                watcher.until_gone(_patience(resource, notes))
        except UnreachableError as error:
            if self._flag("deleteUnreachable"):
                resource.log("warning", f"the cluster is unreachable: {id} is removed from the state only")
                return
            raise Failure(_unreachable(error)) from None
        except RefusedError as failure:
            if failure.code != 404 or failure.reason != "NotFound":
                raise Failure(f"{kind.kind} {id} can't be deleted: {failure}") from None
        except readiness.NotReadyError as problem:
            raise Failure(str(problem)) from None

    # Talking to the cluster

    def _foreseen(self, resource: Resource, kind: Kind, inputs: Properties, manager: str, *, new: bool) -> Json:
        """Return the state that an update would leave, as far as a preview can know it."""
        state: Json = dict(inputs)
        if not is_known(inputs) or self._client is None or not is_known(self._config):
            return state
        document = objects.plain(inputs)
        if "name" not in document["metadata"]:
            return state
        place = objects.path(kind, document["metadata"].get("namespace", ""), document["metadata"]["name"])
        # A preview forces: whoever holds a field then is found out when it is applied.
        query = {"fieldManager": manager, "dryRun": "All", "force": "true"}
        try:
            live = self._client.request("PATCH", place, document, query, _APPLY)[0]
        except UnreachableError:
            return state
        except RefusedError as failure:
            # What it needs (its namespace, its kind, rights) may be made by the very update that is previewed.
            if failure.code in {401, 403, 404, 409}:
                return state
            raise Failure(_refused(kind, document, failure)) from None
        foreseen = objects.state_of(live, manager)
        meta = foreseen["metadata"]
        for name in ("resourceVersion", "generation", *(("uid", "creationTimestamp") if new else ())):
            if name in meta:
                meta[name] = UNKNOWN
        if new:
            foreseen.pop("status", None)
            if kind.kind == "Service":
                foreseen["spec"] = {
                    **foreseen["spec"],
                    **{k: UNKNOWN for k in ("clusterIP", "clusterIPs") if k not in (inputs.get("spec") or {})},
                }
        if "status" in kind.subresources:
            foreseen["status"] = UNKNOWN
        return foreseen

    def _get(self, client: Client, kind: Kind, namespace: str, name: str) -> Json | None:
        try:
            return dict(client.request("GET", objects.path(kind, namespace, name))[0])
        except RefusedError as failure:
            if failure.code == 404:
                return None
            raise Failure(f"{kind.kind} {name} can't be read: {_advice(failure)}") from None

    def _apply(self, resource: Resource, client: Client, kind: Kind, document: Json, manager: str) -> Json:
        force = _annotations(document).get("pulumi.com/patchForce") == "true" or self._flag("enablePatchForce")
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "true" if force else "false"}
        place = objects.path(kind, document["metadata"].get("namespace", ""), document["metadata"]["name"])
        return self._call(resource, client, "PATCH", place, document, query, _APPLY)

    def _call(
        self, resource: Resource, client: Client, method: str, place: str, document: Json, query: Mapping[str, str],
        content_type: str = "application/json",
    ) -> Json:  # fmt: skip
        try:
            live, warnings = client.request(method, place, document, query, content_type)
        except RefusedError as failure:
            kind = objects.kind_of(resource.type, self._schema())
            raise Failure(_refused(kind, document, failure)) from None
        except UnreachableError as error:
            raise Failure(_unreachable(error)) from None
        for warning in warnings:
            resource.log("warning", warning)
        return dict(live)

    def _settled(self, resource: Resource, client: Client, kind: Kind, live: Json, manager: str) -> Json:
        notes = _annotations(live)
        if notes.get("pulumi.com/skipAwait") == "true":
            return live
        namespace, name = live["metadata"].get("namespace", ""), live["metadata"]["name"]
        watcher = readiness.Watcher(client, kind, namespace, name, resource.cancelled)
        try:
            return dict(watcher.until_ready(_patience(resource, notes), lambda text: resource.log("info", text)))
        except readiness.NotReadyError as problem:
            state = objects.state_of(dict(problem.document) or live, manager)
            raise PartialFailure(str(problem), objects.identifier(kind, live), state) from None
        except (RefusedError, UnreachableError) as error:
            text = f"{kind.kind} {name} was applied, but can't be waited for: {error}"
            raise PartialFailure(text, objects.identifier(kind, live), objects.state_of(live, manager)) from None


def json_copy(value: Any) -> Any:
    """Copy a document of maps and lists, unknown values and all."""
    if isinstance(value, Mapping):
        return {key: json_copy(item) for key, item in value.items()}
    return [json_copy(item) for item in value] if isinstance(value, list) else value


def _annotations(document: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = document.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _patience(resource: Resource, notes: Mapping[str, Any]) -> float:
    given = str(notes.get("pulumi.com/timeoutSeconds", ""))
    return float(given) if given.isdigit() else resource.timeout or readiness.PATIENCE


def _refused(kind: Kind, document: Mapping[str, Any], failure: RefusedError) -> str:
    name = document["metadata"].get("name", "")
    if failure.code == 409 and failure.reason == "Conflict" and "conflict" in str(failure):
        return (
            f"Server-Side Apply field conflict on {kind.kind} {name}: {failure}. Another field manager holds what would change: "
            "put the field into `ignore_changes`, or take it over with the annotation pulumi.com/patchForce."
        )
    return f"{kind.kind} {name} was refused by the API server: {_advice(failure)}"


def _advice(failure: RefusedError) -> str:
    if failure.code == 401:
        return "Unauthorized. The principal has no access entry in the EKS cluster, or its token is refused."
    return str(failure)


def _unreachable(error: Exception) -> str:
    return (
        f"configured Kubernetes cluster is unreachable: {error}. If the cluster was deleted, remove its objects from the state "
        'by running the operation again with the environment variable PULUMI_K8S_DELETE_UNREACHABLE set to "true".'
    )
