"""Transforms: functions of the program that change registrations and calls.

A resource's own transforms run first, then its ancestors', nearest first, then the stack's, each in
order of registration. Inputs and results follow the Pulumi engine exactly, also where it is
surprising: only a resource with its own transforms takes its dependencies from their result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime.proto import alias_pb2, callback_pb2, resource_pb2

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.monitor.callbacks import Callbacks
from sandbox.engine.state.property_values import (
    UNKNOWN,
    Output,
    Properties,
    Secret,
    from_struct,
    outputs_within,
    to_struct,
)
from sandbox.engine.state.resource import make_urn, provider_package

# Return the provider reference for a request's provider, providers, parent and package.
Resolve = Callable[[str, Mapping[str, str], str, str], str]
# Options of both a registration and a transform, by the registration's name.
_SHARED = {
    "dependencies": "depends_on",
    "protect": "protect",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
    "replacement_trigger": "replacement_trigger",
    "version": "version",
    "provider": "provider",
    "providers": "providers",
    "hideDiffs": "hide_diff",
    "customTimeouts": "custom_timeouts",
    "pluginDownloadURL": "plugin_download_url",
    "retainOnDelete": "retain_on_delete",
    "deletedWith": "deleted_with",
    "replace_with": "replace_with",
    "additionalSecretOutputs": "additional_secret_outputs",
    "pluginChecksums": "plugin_checksums",
    "hooks": "hooks",
    "importId": "import",
}


class Transforms:
    """The transforms of one operation."""

    def __init__(self, deployment: Deployment, callbacks: Callbacks, resolve: Resolve) -> None:
        self._deployment, self._callbacks, self._resolve = deployment, callbacks, resolve
        self._stack: list[callback_pb2.Callback] = []
        self._invoke: list[callback_pb2.Callback] = []
        self._by_urn: dict[
            str, tuple[str, list[callback_pb2.Callback]]
        ] = {}  # parent, own transforms
        self._awaited: dict[tuple[str, str, str], list[callback_pb2.Callback]] = {}
        self._lock = threading.Lock()

    def add_stack(self, callback: callback_pb2.Callback) -> None:
        """Register a transform for all later resources."""
        with self._lock:
            self._stack.append(callback)

    def add_invoke(self, callback: callback_pb2.Callback) -> None:
        """Register a transform for all later function calls."""
        with self._lock:
            self._invoke.append(callback)

    def applied(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceRequest:
        """Return the transformed registration."""
        chain = self._chain(request)
        if not chain:
            return request
        own = len(request.transforms) > 0
        properties = {
            key: _upgraded(value, set(request.propertyDependencies[key].urns) if own else set())
            for key, value in from_struct(request.object, outputs=True).items()
        }
        options = self._options(request)
        for callback in chain:
            question = resource_pb2.TransformRequest(
                type=request.type,
                name=request.name,
                custom=request.custom,
                parent=request.parent,
                options=options,
                properties=to_struct(properties, secrets=True, outputs=True),
            )
            try:
                response = self._callbacks.invoke(
                    callback, question, resource_pb2.TransformResponse, "Its transform"
                )
            except EngineError as error:
                raise StepError(self._urn(request), str(error)) from error
            options = response.options if response.HasField("options") else options
            if response.HasField("properties"):
                properties = {
                    key: _as_outputs(value)
                    for key, value in from_struct(response.properties, outputs=True).items()
                }
        return _rewritten(request, properties, options, own=own)

    def _chain(self, request: resource_pb2.RegisterResourceRequest) -> list[callback_pb2.Callback]:
        """Return the transforms that apply, and store the resource's own for its descendants."""
        key = (request.parent, request.type, request.name)
        with self._lock:
            # A remote component is registered twice: by the program, and by its provider, which
            # does not know the program's transforms.
            own = self._awaited.pop(key, None)
            if own is None:
                own = list(request.transforms)
                if request.remote and own:
                    self._awaited[key] = own
            self._by_urn[self._urn(request)] = (request.parent, own)
            chain, ancestor = list(own), request.parent
            while ancestor in self._by_urn:
                ancestor, inherited = self._by_urn[ancestor]
                chain += inherited
            return chain + self._stack

    def _urn(self, request: resource_pb2.RegisterResourceRequest) -> str:
        stack, project = self._deployment.request.stack, self._deployment.project.name
        return make_urn(stack, project, request.parent, request.type, request.name)

    def _options(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.TransformResourceOptions:
        options = resource_pb2.TransformResourceOptions()
        _copy(
            request,
            options,
            {theirs: ours for theirs, ours in _SHARED.items() if theirs != "provider"},
        )
        if request.deleteBeforeReplace or request.deleteBeforeReplaceDefined:
            options.delete_before_replace = request.deleteBeforeReplace
        options.aliases.extend(alias_pb2.Alias(urn=urn) for urn in request.aliasURNs)
        options.aliases.extend(request.aliases)
        options.provider = request.provider
        if request.custom or request.remote:
            package = provider_package(request.type)
            options.provider = self._resolve(
                request.provider, request.providers, request.parent, package
            )
        parent = self._deployment.registered.get(request.parent)
        if parent is not None:  # inherited
            if parent.protect and not options.HasField("protect"):
                options.protect = True
            if parent.retain_on_delete and not options.HasField("retain_on_delete"):
                options.retain_on_delete = True
            options.deleted_with = options.deleted_with or parent.deleted_with
        return options

    def applied_to_call(
        self, request: resource_pb2.ResourceInvokeRequest
    ) -> resource_pb2.ResourceInvokeRequest:
        """Return the transformed function call."""
        with self._lock:
            chain = list(self._invoke)
        if not chain:
            return request
        package = provider_package(request.tok)
        options = resource_pb2.TransformInvokeOptions(
            provider=self._resolve(request.provider, {}, request.parent, package),
            version=request.version,
            plugin_download_url=request.pluginDownloadURL,
        )
        arguments = request.args
        for callback in chain:
            response = self._callbacks.invoke(
                callback,
                resource_pb2.TransformInvokeRequest(
                    token=request.tok, args=arguments, options=options
                ),
                resource_pb2.TransformInvokeResponse,
                f"A transform of the call of {request.tok}",
            )
            options = response.options if response.HasField("options") else options
            arguments = response.args if response.HasField("args") else arguments
        changed = resource_pb2.ResourceInvokeRequest()
        changed.CopyFrom(request)
        changed.args.CopyFrom(arguments)
        changed.provider, changed.version = options.provider, options.version
        changed.pluginDownloadURL = options.plugin_download_url
        return changed


def _upgraded(value: Any, dependencies: set[str]) -> Any:
    """Return a property for transforms; one that is not plain is an output with dependencies."""
    value = _as_outputs(value)
    present = {urn for output in outputs_within(value) for urn in output.dependencies}
    if dependencies <= present:
        return value
    if isinstance(value, Output):
        return Output(value.value, tuple(sorted({*value.dependencies, *dependencies})))
    return Output(value, tuple(sorted(dependencies)))


def _as_outputs(value: Any) -> Any:
    if isinstance(value, Secret) or value is UNKNOWN:
        return Output(value, ())
    if isinstance(value, list):
        return [_as_outputs(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_outputs(item) for key, item in value.items()}
    return value


def _rewritten(
    request: resource_pb2.RegisterResourceRequest,
    properties: Properties,
    options: resource_pb2.TransformResourceOptions,
    *,
    own: bool,
) -> resource_pb2.RegisterResourceRequest:
    changed = resource_pb2.RegisterResourceRequest()
    changed.CopyFrom(request)
    _copy(options, changed, {ours: theirs for theirs, ours in _SHARED.items()})
    changed.deleteBeforeReplace = options.delete_before_replace
    changed.deleteBeforeReplaceDefined = options.HasField("delete_before_replace")
    del changed.aliasURNs[:]
    del changed.aliases[:]
    changed.aliases.extend(options.aliases)
    if own:
        changed.propertyDependencies.clear()
    else:
        del changed.dependencies[:]
        changed.dependencies.extend(request.dependencies)
    for key, value in properties.items():
        dependencies = {urn for output in outputs_within(value) for urn in output.dependencies}
        urns = changed.propertyDependencies[key].urns
        urns.extend(sorted(dependencies - set(urns)))
        if own:
            changed.dependencies.extend(sorted(dependencies - set(changed.dependencies)))
    changed.object.CopyFrom(to_struct(properties, secrets=True, outputs=request.remote))
    return changed


def _copy(source: Any, target: Any, names: Mapping[str, str]) -> None:
    """Copy the source's fields to the target; fields unset in the source become unset."""
    for theirs, ours in names.items():
        field = source.DESCRIPTOR.fields_by_name[theirs]
        target.ClearField(ours)
        if field.has_presence and not source.HasField(theirs):
            continue
        value = getattr(source, theirs)
        if field.message_type is None and not field.is_repeated:
            setattr(target, ours, value)
        else:
            getattr(target, ours).MergeFrom(value)
