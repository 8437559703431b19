"""Component resources: remote construction, outputs, methods and lookups."""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import provider_pb2, resource_pb2

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.monitor.register_request import RegisterRequest
from sandbox.engine.monitor.resource_hooks import fill_binding
from sandbox.engine.plugins.default_providers import DefaultProviders
from sandbox.engine.state import property_values
from sandbox.engine.state.assets import with_hashes
from sandbox.engine.state.property_values import Properties
from sandbox.engine.state.resource import Resource, is_provider, make_urn, provider_package
from sandbox.engine.steps.register_resource import Skipped


class Components:
    """Handles the components of one operation."""

    def __init__(self, deployment: Deployment, defaults: DefaultProviders) -> None:
        self._deployment, self._defaults = deployment, defaults

    def construct(self, goal: RegisterRequest) -> Any:
        """Have a provider construct a remote component; its registrations arrive as the program's
        do.
        """
        deployment = self._deployment
        urn = make_urn(
            deployment.request.stack, deployment.project.name, goal.parent, goal.type, goal.name
        )
        if goal.needs() & deployment.failed or goal.follows() & deployment.incomplete:
            deployment.fail(urn, goal.parent)
            raise Skipped
        if not deployment.preview and property_values.contains_unknown(goal.inputs):
            deployment.fail(urn, goal.parent)
            raise Skipped
        try:
            package = provider_package(goal.type)
            reference = goal.provider or goal.providers.get(package, "")
            reference, plugin = self._defaults.resolve(
                reference, goal.parent, package, goal.version, goal.plugin_url
            )

            def fill(request: Any) -> None:
                self._describe(request, goal)
                request.providers.setdefault(package, reference)

            response = plugin.construct(fill, with_hashes(goal.inputs, deployment.project.program))
        except Exception as error:
            deployment.fail(urn, goal.parent)
            raise StepError(urn, str(error)) from error
        # Its outputs may refer to children that were not created; dependents are skipped.
        if response.urn in deployment.failed or response.urn in deployment.incomplete:
            raise Skipped
        return resource_pb2.RegisterResourceResponse(
            urn=response.urn,
            object=response.state,
            propertyDependencies={
                key: resource_pb2.RegisterResourceResponse.PropertyDependencies(urns=item.urns)
                for key, item in response.stateDependencies.items()
            },
        )

    def _describe(self, request: Any, goal: RegisterRequest) -> None:
        self._locate(request)
        request.type, request.name, request.parent = goal.type, goal.name, goal.parent
        for key, urns in goal.property_dependencies.items():
            request.inputDependencies[key].urns.extend(urns)
        for package, reference in goal.providers.items():
            request.providers[package] = reference
        request.dependencies.extend(goal.dependencies)
        request.additionalSecretOutputs.extend(goal.additional_secret_outputs)
        request.ignoreChanges.extend(goal.ignore_changes)
        request.replaceOnChanges.extend(goal.replace_on_changes)
        request.replace_with.extend(goal.replace_with)
        request.aliases.extend(goal.aliases)
        for urn in goal.alias_urns:
            request.aliases.add(urn=urn)
        request.deletedWith = goal.deleted_with
        fill_binding(request.resource_hooks, goal.hooks)
        if goal.replacement_trigger is not None:
            wired = property_values.to_struct({"": goal.replacement_trigger}, secrets=True)
            request.replacement_trigger.CopyFrom(wired.fields[""])
        for name, value in (
            ("protect", goal.protect),
            ("retainOnDelete", goal.retain_on_delete),
            ("deleteBeforeReplace", goal.delete_before_replace),
        ):
            if value is not None:
                setattr(request, name, value)
        for key, seconds in goal.timeouts.items():
            setattr(request.customTimeouts, key, f"{seconds:g}s")

    def _locate(self, request: Any) -> None:
        deployment = self._deployment
        request.project, request.stack = deployment.project.name, deployment.request.stack
        request.organization = "organization"
        request.dryRun, request.parallel = deployment.preview, deployment.request.parallel
        request.monitorEndpoint = deployment.engine_address
        for key, text in deployment.configuration.values.items():
            request.config[key] = text
        request.configSecretKeys.extend(sorted(deployment.configuration.secret_keys))

    def call(self, request: Any, version: str, url: str) -> Any:
        """Call a resource's method on the named provider or its own."""
        package, reference = provider_package(request.tok), request.provider
        arguments = property_values.from_struct(request.args, outputs=True)
        itself = property_values.plain(arguments.get("__self__"))
        if isinstance(itself, dict) and itself.get("urn"):
            if is_provider(request.tok):  # a method of a provider: `pulumi:providers:kit/method`
                identifier = (
                    property_values.UNKNOWN_ID
                    if itself.get("id") is property_values.UNKNOWN
                    else itself.get("id")
                )
                package, reference = package.partition("/")[0], f"{itself['urn']}::{identifier}"
            elif not reference:
                owner = self._deployment.registered.get(itself["urn"])
                reference = owner.provider if owner else ""
        _, plugin = self._defaults.resolve(reference, "", package, version, url)

        def fill(message: Any) -> None:
            self._locate(message)
            message.tok = request.tok
            for key, item in request.argDependencies.items():
                message.argDependencies[key].urns.extend(item.urns)

        response = plugin.call(fill, arguments)
        if not isinstance(response, provider_pb2.CallResponse):
            raise EngineError(f"{request.tok}: the provider returned {type(response).__name__}.")
        return response

    def set_outputs(self, urn: str, outputs: Properties) -> None:
        """Record a component's outputs. In a failed run, unknown outputs keep their last value."""
        deployment = self._deployment
        outputs = with_hashes(outputs, deployment.project.program)
        with deployment.lock:
            resource = deployment.registered.get(urn)
        if resource is None:
            if urn in deployment.failed:
                return
            raise EngineError(f"Outputs were registered for {urn}, which is not registered.")
        if deployment.destroying:
            return
        if not deployment.preview:
            old = deployment.olds.get(urn)
            merged = property_values.without_unknowns(outputs)
            if old is not None and len(merged) < len(outputs):
                merged = {key: old.outputs[key] for key in outputs if key in old.outputs} | merged
            outputs = merged
        if not _identical(resource.outputs, outputs):
            resource.outputs = outputs
            if not deployment.preview:
                deployment.journal.changed(resource)
        deployment.hooks.outputs_registered(urn)

    def get_resource(self, arguments: Properties) -> Any:
        """Return a resource for which the SDK has only a reference."""
        urn = str(arguments.get("urn"))
        deployment = self._deployment
        with deployment.lock:
            # Use the state for what is not registered yet: a component may refer to its own
            # children.
            resource: Resource | None = deployment.registered.get(urn) or deployment.olds.get(urn)
        if resource is None:
            raise EngineError(f"{urn} is referenced but not in the stack.")
        reference = {"urn": urn, "id": resource.id, "state": resource.outputs}
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(
            property_values.to_struct(reference, secrets=True, resources=True)
        )
        return response


def _identical(left: Properties, right: Properties) -> bool:
    return property_values.equal(left, right) and property_values.same_secrecy(left, right)
