"""The gRPC services of programs and remote components: ResourceMonitor and Engine."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.monitor.components import Components
from sandbox.engine.monitor.register_request import RegisterRequest, decode_request
from sandbox.engine.monitor.transforms import Transforms
from sandbox.engine.plugins.default_providers import DefaultProviders, plugin_inputs
from sandbox.engine.plugins.provider_client import GRPC_OPTIONS
from sandbox.engine.state import property_values
from sandbox.engine.state.resource import is_provider, make_urn, provider_package
from sandbox.engine.steps.read_resource import Reads
from sandbox.engine.steps.register_resource import Registrations, Skipped

_FEATURES = (
    "SECRETS",
    "RESOURCE_REFERENCES",
    "OUTPUT_VALUES",
    "ALIAS_SPECS",
    "REPLACEMENT_TRIGGER",
    "DELETED_WITH",
    "REPLACE_WITH",
    "PARAMETERIZATION",  # package references are supported; parameterized packages are refused
    "TRANSFORMS",
    "INVOKE_TRANSFORMS",
    "RESOURCE_HOOKS",
    "ERROR_HOOKS",
    "INVOKE_DEPENDS_ON",
    "INVOKE_PARENT",
)
_FEATURE_IDS = {
    "secrets",
    "resourceReferences",
    "outputValues",
    "aliasSpecs",
    "replacementTrigger",
    "deletedWith",
    "replaceWith",
    "parameterization",
    "transforms",
    "invokeTransforms",
    "resourceHooks",
    "errorHooks",
}
_SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


class Monitor(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Serves one operation on a loopback port; a failed request ends in a gRPC status."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._defaults = DefaultProviders(deployment)
        self._registrations = Registrations(deployment, self._defaults)
        self._defaults.register = self._register_default
        self._components = Components(deployment, self._defaults)
        self._reads = Reads(deployment, self._defaults)
        self._transforms = Transforms(deployment, deployment.callbacks, self._defaults.named)
        self._packages: dict[str, resource_pb2.RegisterPackageRequest] = {}
        self._active = 0
        self._idle = threading.Condition()
        self.registered_all = (
            threading.Event()
        )  # the program has registered everything, or has ended
        self._released = threading.Event()  # no more callbacks will be made
        # One thread per pending request: constructing a component waits for its children.
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4096), options=GRPC_OPTIONS
        )
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        deployment.engine_address = self.address
        self._server.start()

    def wait_idle(self) -> None:
        """Wait until no request is pending; a program that died leaves some."""
        with self._idle:
            self._idle.wait_for(lambda: self._active == 0)

    def release(self) -> None:
        """Let the program end after its last hook."""
        # before the server stops: a broken connection prints an error
        self._deployment.callbacks.close()
        self._released.set()

    def stop(self) -> None:
        """Stop the services."""
        self.release()
        # In this order: clients in provider processes print an error for a broken connection.
        self._server.stop(grace=1).wait()

    def _register_default(self, goal: RegisterRequest) -> str:
        state = self._registrations.register(goal).state
        return f"{state.urn}::{state.id}"

    @contextmanager
    def _serving(self, context: Any) -> Iterator[None]:
        with self._idle:
            self._active += 1
        try:
            yield
        except EngineError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    # ResourceMonitor

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return project, stack and configuration."""
        _ = (request, context)
        deployment = self._deployment
        return resource_pb2.DeploymentInfo(
            project=deployment.project.name,
            stack=deployment.request.stack,
            organization="organization",
            config=deployment.configuration.values,
            configSecretKeys=sorted(deployment.configuration.secret_keys),
            dryRun=deployment.preview,
            parallel=deployment.request.parallel,
            supportedFeatures=[
                resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}")
                for name in _FEATURES
            ],
        )

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return whether a feature is supported."""
        _ = context
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURE_IDS)

    def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Record a package's version for requests that reference it."""
        with self._serving(context):
            if request.HasField("parameterization") or request.HasField("extension"):
                raise EngineError(
                    f"Package {request.name!r} is parameterized, which the embedded engine does "
                    "not support. Use the Pulumi CLI."
                )
            reference = str(
                uuid.uuid5(
                    uuid.NAMESPACE_URL, f"{request.name}@{request.version}@{request.download_url}"
                )
            )
            self._packages[reference] = request
            return resource_pb2.RegisterPackageResponse(ref=reference)
        return None

    def _version(self, request: Any) -> tuple[str, str]:
        package = self._packages.get(request.packageRef) if request.packageRef else None
        if package is not None:
            return package.version, package.download_url
        return request.version, request.pluginDownloadURL

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Register a resource; a failure is returned, and the program continues."""
        with self._serving(context):
            try:
                request = self._transforms.applied(request)
                goal = decode_request(request)
                goal.version, goal.plugin_url = self._version(request)
                if is_provider(
                    goal.type
                ):  # where the CLI stores them, so that both have the same inputs
                    goal.inputs |= plugin_inputs(
                        goal.version, goal.plugin_url, request.envVarMappings
                    )
                    self._warn_of_mappings(request)
                if goal.remote:
                    return self._components.construct(goal)
                registered = self._registrations.register(goal)
            except Skipped:
                return self._not_made(request, resource_pb2.FAIL)
            except EngineError as error:
                urn = error.urn if isinstance(error, StepError) else ""
                self._deployment.recorder.message("error", urn, str(error))
                return self._not_made(request, resource_pb2.FAIL)
            if goal.providers or goal.parent:
                self._defaults.remember(registered.state.urn, goal.parent, goal.providers)
            state = registered.state
            unknown_id = (
                ""
                if state.id == property_values.UNKNOWN_ID
                and not state.type.startswith("pulumi:providers:")
                else state.id
            )
            # A component's previous outputs may refer to unregistered children; the program sets
            # them again with RegisterResourceOutputs.
            outputs = state.outputs if state.custom else {}
            return resource_pb2.RegisterResourceResponse(
                urn=state.urn,
                id=unknown_id,
                object=property_values.to_struct(outputs, secrets=True, resources=True),
                unknown=registered.elided,
            )
        return None

    def _warn_of_mappings(self, request: Any) -> None:
        if request.envVarMappings:
            self._deployment.recorder.message(
                "warning",
                _urn_of(self._deployment, request),
                (
                    "Its `env_var_mappings` are in the state without effect: the provider was "
                    "already running."
                ),
            )

    def _not_made(self, request: Any, result: Any) -> Any:
        deployment = self._deployment
        if not request.supportsResultReporting:
            raise EngineError(
                f"{request.type} {request.name!r} failed; the reason was reported with it."
            )
        urn = _urn_of(deployment, request)
        deployment.fail(urn, request.parent)
        return resource_pb2.RegisterResourceResponse(urn=urn, result=result)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Record the outputs of a component or the stack."""
        with self._serving(context):
            self._components.set_outputs(request.urn, property_values.from_struct(request.outputs))
            return empty_pb2.Empty()
        return None

    def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Read an existing resource that the stack does not manage."""
        with self._serving(context):
            version, url = self._version(request)
            try:
                return self._reads.read(request, version, url)
            except EngineError as error:
                urn = (
                    error.urn
                    if isinstance(error, StepError)
                    else _urn_of(self._deployment, request)
                )
                self._deployment.recorder.message("error", urn, str(error))
                raise
        return None

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Call a provider function."""
        with self._serving(context):
            request = self._transforms.applied_to_call(request)
            version, url = self._version(request)
            arguments = property_values.from_struct(request.args)
            if request.tok == "pulumi:pulumi:getResource":
                return self._components.get_resource(arguments)
            package = provider_package(request.tok)
            _, plugin = self._defaults.resolve(
                request.provider, request.parent, package, version, url
            )
            if self._deployment.awaits(request.dependsOn):
                return resource_pb2.ResourceInvokeResponse(unknown=True)
            if property_values.contains_unknown(arguments):
                return resource_pb2.ResourceInvokeResponse()
            result, failures = plugin.invoke(
                request.tok, arguments, preview=self._deployment.preview
            )
            response = resource_pb2.ResourceInvokeResponse(
                failures=[
                    provider_pb2.CheckFailure(property=item.property, reason=item.reason)
                    for item in failures
                ]
            )
            getattr(response, "return").CopyFrom(
                property_values.to_struct(result or {}, secrets=True, resources=True)
            )
            return response
        return None

    def Call(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Call a component's method."""
        with self._serving(context):
            version, url = self._version(request)
            return self._components.call(request, version, url)
        return None

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Block until the last hook of the program has run."""
        _ = (request, context)
        self.registered_all.set()
        self._released.wait()
        return empty_pb2.Empty()

    def _refuse(self, what: str, context: Any) -> Any:
        with self._serving(context):
            message = f"{what} are not supported by the embedded engine. Use the Pulumi CLI."
            self._deployment.recorder.message("error", "", message)
            raise EngineError(message)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Register a transform of every resource."""
        with self._serving(context):
            self._transforms.add_stack(request)
            return empty_pb2.Empty()
        return None

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Register a transform of every function call."""
        with self._serving(context):
            self._transforms.add_invoke(request)
            return empty_pb2.Empty()
        return None

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Register a hook."""
        with self._serving(context):
            self._deployment.hooks.register(request)
            return empty_pb2.Empty()
        return None

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Register an error hook."""
        with self._serving(context):
            self._deployment.hooks.register_error_hook(request)
            return empty_pb2.Empty()
        return None

    # Engine

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Record a log message of the program or a provider."""
        _ = context
        severity = _SEVERITIES.get(request.severity)
        if request.ephemeral and severity == "info":
            self._deployment.recorder.status(request.urn, request.message)
        elif severity:
            # The SDK names the CLI for features that its engine lacks; here it is this engine.
            text = request.message.replace(
                "The Pulumi CLI does not support", "The embedded engine does not support"
            )
            text = text.replace("Please update the Pulumi CLI", "Use the Pulumi CLI")
            recorder = self._deployment.recorder
            if severity != "error" or not recorder.reported(text):
                recorder.message(severity, request.urn, text, logged=True)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return the stack's URN once it is registered."""
        _ = (request, context)
        urn = self._deployment.stack_urn
        return engine_pb2.GetRootResourceResponse(
            urn=urn if urn in self._deployment.registered else ""
        )

    def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Do nothing: project and stack determine the URN."""
        _ = (request, context)
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Refuse: this engine is no Pulumi version."""
        _ = request
        return self._refuse("Requirements on the Pulumi version", context)


def _urn_of(deployment: Deployment, request: Any) -> str:
    """Return the URN of a requested resource."""
    return make_urn(
        deployment.request.stack,
        deployment.project.name,
        request.parent,
        request.type,
        request.name,
    )
