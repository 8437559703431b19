"""The resource operations of a configured Kubernetes provider: check, diff, apply, read, delete."""

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
from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError
from sandbox.providers.kubernetes.messages import (
    annotations_of,
    refused_message,
    status_message,
    timeout_of,
    unreachable_message,
)
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
# Kinds whose deletion `pulumi.com/skipAwait` does not await; others ignore it in a deletion
# (https://github.com/pulumi/pulumi-kubernetes/issues/1232).
_SKIPPING_DELETION = frozenset(
    {"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "ReplicationController", "StatefulSet"}
)


class KubernetesConnection(Connection):
    """Manages objects of one cluster; with an unknown kubeconfig it only checks and previews."""

    def __init__(self, config: Properties) -> None:
        self._config = config
        kubeconfig = config.get("kubeconfig", os.environ.get("KUBECONFIG", ""))
        self._client: Client | None = None
        if kubeconfig and is_known(config):
            self._client = Client(
                kubeconfig, str(config.get("context") or ""), str(config.get("cluster") or "")
            )
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
        """Return the schema of the cluster's version, or the newest before it is known."""
        if self._version is None:
            versions = schemas.versions()
            version = versions[-1]
            if self._client is not None:
                try:
                    response = self._client.request("GET", "/version")[0]
                    version = f"{response['major']}.{str(response['minor']).rstrip('+')}"
                except (ApiStatusError, UnreachableError):
                    return schemas.load(version)
            self._version = schemas.load(version if version in versions else versions[-1])
        return self._version

    def _namespace(self) -> str:
        namespace = self._config.get("namespace")
        if namespace is UNKNOWN:
            return "default"
        return str(namespace or (self._client.namespace if self._client else "") or "default")

    def _require_client(self, resource: Resource) -> Client:
        if self._client is None:
            raise Failure(
                f"{resource.type} needs a cluster, and the provider's kubeconfig is not set or "
                "not yet known. Give the provider a `kubeconfig`."
            )
        return self._client

    # Resource operations

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Set apiVersion, kind, name and namespace; report what the API server would refuse."""
        schema = self._schema()
        kind = objects.kind_of(resource.type, schema)
        inputs: Json = json_copy(new)
        inputs.setdefault("apiVersion", kind.api_version)
        inputs.setdefault("kind", kind.kind)
        metadata = inputs.setdefault("metadata", {})
        if metadata is not UNKNOWN:
            self._name(resource, kind, metadata, old.get("metadata") or {}, seed)
        failures = objects.api_errors(schema, kind, inputs)
        return Checked(inputs, failures)

    def _name(self, resource: Resource, kind: Kind, metadata: Json, old: Any, seed: bytes) -> None:
        annotations = old.get("annotations") if isinstance(old, Mapping) else None
        if "name" not in metadata and "generateName" not in metadata:
            autonamed = (
                isinstance(annotations, Mapping) and annotations.get(objects.AUTONAMED) == "true"
            )
            metadata["name"] = (
                old["name"] if autonamed else objects.autoname(resource.name, seed, resource.urn)
            )
            if metadata.get("annotations") is not UNKNOWN:
                metadata["annotations"] = {
                    **(metadata.get("annotations") or {}),
                    objects.AUTONAMED: "true",
                }
        if kind.namespaced:
            metadata.setdefault("namespace", self._namespace())

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        """Compare inputs by property; a replaced object with a fixed name is deleted first."""
        kind = objects.kind_of(resource.type, self._schema())
        changes = objects.differences(kind, old_inputs, new_inputs, self._mutable)
        old, new = old_inputs.get("metadata") or {}, new_inputs.get("metadata") or {}
        same_place = isinstance(new, Mapping) and all(
            old.get(k) == new.get(k) for k in ("name", "namespace")
        )
        autonamed = (
            isinstance(new, Mapping)
            and (new.get("annotations") or {}).get(objects.AUTONAMED) == "true"
        )
        replaced = any(change.replaces for change in changes.values())
        return Difference(changes, delete_before_replace=replaced and same_place and not autonamed)

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """Apply the object and await readiness; preview by dry run on a known cluster."""
        kind = objects.kind_of(resource.type, self._schema())
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        manager = f"pulumi-kubernetes-{secrets.token_hex(4)}"
        if preview:
            return Created(
                "", self._preview_state(resource, kind, inputs, manager, new=True), hidden
            )
        document = objects.to_object(inputs)
        namespace, name = (
            document["metadata"].get("namespace", ""),
            document["metadata"].get("name", ""),
        )
        client = self._require_client(resource)
        if (
            name
            and not self._flag("upsertExistingObjects")
            and self._get(client, kind, namespace, name) is not None
        ):
            raise Failure(
                f'resource "{objects.identifier(kind, document)}" already exists '
                f"({kind.api_version} {kind.kind}). "
                f"Import it (`pulumi import {resource.type} {resource.name} "
                f"{objects.identifier(kind, document)}`), "
                "or set the provider's upsertExistingObjects to adopt what exists."
            )
        if name:
            live = self._apply(resource, client, kind, document, manager)
        else:
            live = self._call(
                resource,
                client,
                "POST",
                objects.path(kind, namespace),
                document,
                {"fieldManager": manager},
            )
        live = self._await_ready(resource, client, kind, live, manager)
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
        """Apply the object again with the same field manager."""
        schema = self._schema()
        kind = objects.kind_of(resource.type, schema)
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        manager = str(
            old_state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        )
        if preview:
            return Updated(
                self._preview_state(resource, kind, new_inputs, manager, new=False), hidden
            )
        client, document = self._require_client(resource), objects.to_object(new_inputs)
        namespace, name = objects.split_identifier(kind, id, self._namespace())
        standing = self._get(client, kind, namespace, name)
        if standing is None:
            raise Failure(
                f"{kind.kind} {id} does not exist any more, so it cannot be updated. "
                "`up --refresh` creates it again."
            )
        if resource.ignored:
            document = ignored_changes.without_foreign_fields(
                schema, kind, document, standing, manager, resource.ignored
            )
        live = self._apply(resource, client, kind, document, manager)
        live = self._await_ready(resource, client, kind, live, manager)
        return Updated(objects.state_of(live, manager), hidden)

    def read(
        self, resource: Resource, id: str, inputs: Properties, state: Properties
    ) -> Found | None:
        """Read the object; its inputs are the live values of the declared properties."""
        kind = objects.kind_of(resource.type, self._schema())
        hidden = _SECRET_PARTS if kind.kind == "Secret" else ()
        namespace, name = objects.split_identifier(kind, id, self._namespace())
        client = self._require_client(resource)
        try:
            live = self._get(client, kind, namespace, name)
        except UnreachableError as error:
            if self._flag("deleteUnreachable"):
                resource.log(
                    "warning", f"the cluster is unreachable: {id} is removed from the state"
                )
                return None
            if self._flag("skipUpdateUnreachable"):
                resource.log("warning", f"the cluster is unreachable: {id} is left as it was")
                return Found(id, state, inputs, hidden)
            raise Failure(unreachable_message(error)) from None
        if live is None:
            return None
        manager = str(state.get("__fieldManager") or f"pulumi-kubernetes-{secrets.token_hex(4)}")
        shown = objects.with_string_data(live, inputs)
        live_inputs = objects.project_live(shown, inputs) if inputs else objects.import_inputs(live)
        return Found(
            objects.identifier(kind, live), objects.state_of(live, manager), live_inputs, hidden
        )

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """Delete the object and wait until it is gone."""
        kind = objects.kind_of(resource.type, self._schema())
        namespace, name = objects.split_identifier(kind, id, self._namespace())
        annotations = annotations_of(inputs) or annotations_of(state)
        policy = str(
            annotations.get("pulumi.com/deletionPropagationPolicy", "foreground")
        ).capitalize()
        client = self._require_client(resource)
        try:
            client.request(
                "DELETE", objects.path(kind, namespace, name), {"propagationPolicy": policy}
            )
            skip = annotations.get("pulumi.com/skipAwait") == "true"
            if not (skip and kind.kind in _SKIPPING_DELETION):
                watcher = readiness.Watcher(client, kind, namespace, name, resource.cancelled)
                watcher.until_gone(timeout_of(resource, annotations))
        except UnreachableError as error:
            if self._flag("deleteUnreachable"):
                resource.log(
                    "warning", f"the cluster is unreachable: {id} is removed from the state only"
                )
                return
            raise Failure(unreachable_message(error)) from None
        except ApiStatusError as failure:
            if failure.code != 404 or failure.reason != "NotFound":
                raise Failure(f"{kind.kind} {id} cannot be deleted: {failure}") from None
        except readiness.NotReadyError as problem:
            raise Failure(str(problem)) from None

    # Requests to the cluster

    def _preview_state(
        self, resource: Resource, kind: Kind, inputs: Properties, manager: str, *, new: bool
    ) -> Json:
        """Return the state after an update, as far as a preview can determine it."""
        state: Json = dict(inputs)
        if not is_known(inputs) or self._client is None or not is_known(self._config):
            return state
        document = objects.to_object(inputs)
        if "name" not in document["metadata"]:
            return state
        path = objects.path(
            kind, document["metadata"].get("namespace", ""), document["metadata"]["name"]
        )
        # A preview forces; conflicts are reported when the object is applied.
        query = {"fieldManager": manager, "dryRun": "All", "force": "true"}
        try:
            live = self._client.request("PATCH", path, document, query, _APPLY)[0]
        except UnreachableError:
            return state
        except ApiStatusError as failure:
            # The previewed update may create the missing namespace, kind or permissions.
            if failure.code in {401, 403, 404, 409}:
                return state
            raise Failure(refused_message(kind, document, failure)) from None
        state_after = objects.state_of(live, manager)
        meta = state_after["metadata"]
        for name in (
            "resourceVersion",
            "generation",
            *(("uid", "creationTimestamp") if new else ()),
        ):
            if name in meta:
                meta[name] = UNKNOWN
        if new:
            state_after.pop("status", None)
            if kind.kind == "Service":
                state_after["spec"] = {
                    **state_after["spec"],
                    **{
                        k: UNKNOWN
                        for k in ("clusterIP", "clusterIPs")
                        if k not in (inputs.get("spec") or {})
                    },
                }
        if "status" in kind.subresources:
            state_after["status"] = UNKNOWN
        return state_after

    def _get(self, client: Client, kind: Kind, namespace: str, name: str) -> Json | None:
        try:
            return dict(client.request("GET", objects.path(kind, namespace, name))[0])
        except ApiStatusError as failure:
            if failure.code == 404:
                return None
            raise Failure(f"{kind.kind} {name} cannot be read: {status_message(failure)}") from None

    def _apply(
        self, resource: Resource, client: Client, kind: Kind, document: Json, manager: str
    ) -> Json:
        force = annotations_of(document).get("pulumi.com/patchForce") == "true" or self._flag(
            "enablePatchForce"
        )
        query = {
            "fieldManager": manager,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
        }
        path = objects.path(
            kind, document["metadata"].get("namespace", ""), document["metadata"]["name"]
        )
        return self._call(resource, client, "PATCH", path, document, query, _APPLY)

    def _call(
        self,
        resource: Resource,
        client: Client,
        method: str,
        path: str,
        document: Json,
        query: Mapping[str, str],
        content_type: str = "application/json",
    ) -> Json:
        try:
            live, warnings = client.request(method, path, document, query, content_type)
        except ApiStatusError as failure:
            kind = objects.kind_of(resource.type, self._schema())
            raise Failure(refused_message(kind, document, failure)) from None
        except UnreachableError as error:
            raise Failure(unreachable_message(error)) from None
        for warning in warnings:
            resource.log("warning", warning)
        return dict(live)

    def _await_ready(
        self, resource: Resource, client: Client, kind: Kind, live: Json, manager: str
    ) -> Json:
        annotations = annotations_of(live)
        if annotations.get("pulumi.com/skipAwait") == "true":
            return live
        namespace, name = live["metadata"].get("namespace", ""), live["metadata"]["name"]
        watcher = readiness.Watcher(client, kind, namespace, name, resource.cancelled)
        try:
            return dict(
                watcher.until_ready(
                    timeout_of(resource, annotations), lambda text: resource.log("status", text)
                )
            )
        except readiness.NotReadyError as problem:
            state = objects.state_of(dict(problem.document) or live, manager)
            raise PartialFailure(str(problem), objects.identifier(kind, live), state) from None
        except (ApiStatusError, UnreachableError) as error:
            text = f"{kind.kind} {name} was applied, but cannot be waited for: {error}"
            raise PartialFailure(
                text, objects.identifier(kind, live), objects.state_of(live, manager)
            ) from None


def json_copy(value: Any) -> Any:
    """Copy a document, including unknown values."""
    if isinstance(value, Mapping):
        return {key: json_copy(item) for key, item in value.items()}
    return [json_copy(item) for item in value] if isinstance(value, list) else value
