"""The services that a program and its remote components talk to: ResourceMonitor and Engine, over gRPC."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import EngineError, StepError
from sandbox.engine.monitor.components import Components
from sandbox.engine.monitor.register_request import Goal, decode_goal
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
    "PARAMETERIZATION",  # stands for references to packages too; a package with parameters is refused by its name
    "TRANSFORMS",
    "INVOKE_TRANSFORMS",
    "RESOURCE_HOOKS",
    "ERROR_HOOKS",
    "INVOKE_DEPENDS_ON",
    "INVOKE_PARENT",
)
_FEATURE_IDS = {
    "secrets", "resourceReferences", "outputValues", "aliasSpecs", "replacementTrigger", "deletedWith", "replaceWith",
    "parameterization", "transforms", "invokeTransforms", "resourceHooks", "errorHooks",
}  # fmt: skip
_SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


class Monitor(resource_pb2_grpc.ResourceMonitorServicer, engine_pb2_grpc.EngineServicer):
    """Serves one operation on a loopback port; a request that fails ends as a gRPC status with one sentence."""

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
        self.settled = threading.Event()  # the program has asked for everything it wants, or has ended
        self._released = threading.Event()  # nothing will be called back any more
        # A thread per request under way: constructing a component waits for its children's registrations.
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4096), options=GRPC_OPTIONS)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self, self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        deployment.engine_address = self.address
        self._server.start()

    def wait_idle(self) -> None:
        """Wait until no request is being served (a program that died leaves some behind)."""
        with self._idle:
            self._idle.wait_for(lambda: self._active == 0)

    def release(self) -> None:
        """Let the program end, which has been kept for its hooks."""
        self._deployment.callbacks.close()  # before its server ends: a connection that is cut off prints a complaint
        self._released.set()

    def stop(self) -> None:
        """End the service."""
        self.release()
        # In order: cut off, the clients in provider processes print a complaint each.
        self._server.stop(grace=1).wait()

    def _register_default(self, goal: Goal) -> str:
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
        """Tell the program where it runs."""
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
                resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}") for name in _FEATURES
            ],
        )

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer for one feature."""
        _ = context
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURE_IDS)

    def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Note a package's version for the requests that refer to it."""
        with self._serving(context):
            if request.HasField("parameterization") or request.HasField("extension"):
                raise EngineError(
                    f"Package {request.name!r} is parameterized, which the embedded engine doesn't support. Use the Pulumi CLI."
                )
            reference = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{request.name}@{request.version}@{request.download_url}"))
            self._packages[reference] = request
            return resource_pb2.RegisterPackageResponse(ref=reference)
        return None

    def _version(self, request: Any) -> tuple[str, str]:
        package = self._packages.get(request.packageRef) if request.packageRef else None
        if package is not None:
            return package.version, package.download_url
        return request.version, request.pluginDownloadURL

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Bring a resource to what the program wants; a failure is answered as such and the program goes on."""
        with self._serving(context):
            try:
                request = self._transforms.applied(request)
                goal = decode_goal(request)
                goal.version, goal.plugin_url = self._version(request)
                if is_provider(goal.type):  # where the CLI keeps them, so that both see the same inputs
                    goal.inputs |= plugin_inputs(goal.version, goal.plugin_url, request.envVarMappings)
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
                if state.id == property_values.UNKNOWN_ID and not state.type.startswith("pulumi:providers:")
                else state.id
            )
            # A component's outputs of last time may refer to children that aren't registered yet this time; its
            # program sets them anew with RegisterResourceOutputs.
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
                "Its `env_var_mappings` are in the state, but without effect: the provider was started by somebody else, "
                "with the environment that it has.",
            )

    def _not_made(self, request: Any, result: Any) -> Any:
        deployment = self._deployment
        if not request.supportsResultReporting:
            raise EngineError(f"{request.type} {request.name!r} couldn't be made; the reason was reported with it.")
        urn = _urn_of(deployment, request)
        deployment.fail(urn, request.parent)
        return resource_pb2.RegisterResourceResponse(urn=urn, result=result)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Attach a component's (or the stack's) outputs."""
        with self._serving(context):
            self._components.set_outputs(request.urn, property_values.from_struct(request.outputs))
            return empty_pb2.Empty()
        return None

    def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Look up an existing resource that the stack doesn't manage."""
        with self._serving(context):
            version, url = self._version(request)
            try:
                return self._reads.read(request, version, url)
            except EngineError as error:
                urn = error.urn if isinstance(error, StepError) else _urn_of(self._deployment, request)
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
            _, plugin = self._defaults.resolve(request.provider, request.parent, package, version, url)
            if self._deployment.awaits(request.dependsOn):
                return resource_pb2.ResourceInvokeResponse(unknown=True)
            if property_values.contains_unknown(arguments):
                return resource_pb2.ResourceInvokeResponse()
            found, failures = plugin.invoke(request.tok, arguments, preview=self._deployment.preview)
            answer = resource_pb2.ResourceInvokeResponse(
                failures=[provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in failures]
            )
            getattr(answer, "return").CopyFrom(property_values.to_struct(found or {}, secrets=True, resources=True))
            return answer
        return None

    def Call(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Call a method of a component."""
        with self._serving(context):
            version, url = self._version(request)
            return self._components.call(request, version, url)
        return None

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Keep the program, which has asked for everything it wants, until its hooks have been called for the last time."""
        _ = (request, context)
        self.settled.set()
        self._released.wait()
        return empty_pb2.Empty()

    def _refuse(self, what: str, context: Any) -> Any:
        with self._serving(context):
            message = f"{what} are not supported by the embedded engine. Use the Pulumi CLI."
            self._deployment.recorder.message("error", "", message)
            raise EngineError(message)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Take on a transform of every resource."""
        with self._serving(context):
            self._transforms.add_stack(request)
            return empty_pb2.Empty()
        return None

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Take on a transform of every function's call."""
        with self._serving(context):
            self._transforms.add_invoke(request)
            return empty_pb2.Empty()
        return None

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Take on a hook."""
        with self._serving(context):
            self._deployment.hooks.register(request)
            return empty_pb2.Empty()
        return None

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Take on an error hook."""
        with self._serving(context):
            self._deployment.hooks.register_error_hook(request)
            return empty_pb2.Empty()
        return None

    # Engine

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Show what the program or a provider says."""
        _ = context
        severity = _SEVERITIES.get(request.severity)
        if severity and not (request.ephemeral and severity == "info"):
            # The SDK blames the CLI for what its engine lacks; here that is this engine.
            text = request.message.replace("The Pulumi CLI does not support", "The embedded engine does not support")
            text = text.replace("Please update the Pulumi CLI", "Use the Pulumi CLI")
            recorder = self._deployment.recorder
            if severity != "error" or not recorder.reported(text):
                recorder.message(severity, request.urn, text, said=True)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """The stack resource's URN, once the program has registered it."""
        _ = (request, context)
        urn = self._deployment.stack_urn
        return engine_pb2.GetRootResourceResponse(urn=urn if urn in self._deployment.registered else "")

    def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """The stack's URN follows from the project and stack names, so nothing is to be kept."""
        _ = (request, context)
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Refused: this is no Pulumi version."""
        _ = request
        return self._refuse("Requirements on the Pulumi version", context)


def _urn_of(deployment: Deployment, request: Any) -> str:
    """The URN that a request's resource has, made or not."""
    return make_urn(deployment.request.stack, deployment.project.name, request.parent, request.type, request.name)
