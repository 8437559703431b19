"""Serves Construct and Call of the EKS components.

Construct runs the SDK in this process. Its settings are context variables in pulumi 3.272, and the
gRPC server gives every request its own context, so constructions run concurrently, also nested
ones.
"""

# ruff: noqa: N802 -- gRPC service methods bear the protocol's names

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
import pulumi
from pulumi.provider.server import ProviderServicer as Sdk
from pulumi.resource import DependencyProviderResource
from pulumi.runtime import config, rpc, settings
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.stack import wait_for_rpcs

from sandbox.providers.eks.components import call, construct
from sandbox.providers.protocol import Failure, Provider
from sandbox.providers.server import Servicer

_log = logging.getLogger(__name__)

# A registration blocks a thread until the engine has created the resource; with the default pool of
# six threads, two clusters would block each other's children.
_REGISTRATIONS_AT_ONCE = 256


class ComponentServicer(Servicer):
    """The ResourceProvider service of a provider of components."""

    def __init__(self, provider: Provider, threads: ThreadPoolExecutor) -> None:
        super().__init__(provider, threads)
        pool = ThreadPoolExecutor(_REGISTRATIONS_AT_ONCE, thread_name_prefix="register")
        asyncio.get_running_loop().set_default_executor(pool)

    async def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:
        """Construct a component: register it and its children, and return its outputs."""
        try:
            await self._enter(request, context)
            # The experimental servicer's implementation cannot read unknown outputs of a preview.
            inputs = await Sdk._construct_inputs(request.inputs, request.inputDependencies)
            component, state = construct(request.type, request.name, inputs, _options(request))
            response = await self._answer(component, state)
            await wait_for_rpcs(await_all_outstanding_tasks=False)
        except Exception as problem:  # noqa: BLE001 - whatever a component raises becomes one paragraph for the user
            await self._refuse(context, f"{request.type} {request.name}", problem)
        return response

    async def Call(self, request: Any, context: Any) -> provider_pb2.CallResponse:
        """Call a component's method."""
        try:
            await self._enter(request, context)
            result = call(request.tok, await Sdk._call_args(request))
            value = await rpc.serialize_properties({"result": result}, {})
            await wait_for_rpcs(await_all_outstanding_tasks=False)
        except Exception as problem:  # noqa: BLE001 - as in Construct
            await self._refuse(context, request.tok, problem)
        response = provider_pb2.CallResponse()
        getattr(response, "return").CopyFrom(value)
        return response

    async def _enter(self, request: Any, context: Any) -> None:
        """Configure this request's SDK for the calling engine."""
        settings.reset_options(
            organization=request.organization or "organization",
            project=request.project or None,
            stack=request.stack or None,
            parallel=request.parallel or None,
            engine_address=self._peer(context).engine or None,
            monitor_address=request.monitorEndpoint or None,
            preview=request.dryRun,
        )
        await settings._load_monitor_feature_support()  # type: ignore[no-untyped-call]  # the SDK's
        config.set_all_config(dict(request.config), list(request.configSecretKeys))

    async def _answer(
        self, component: pulumi.Resource, state: dict[str, Any]
    ) -> provider_pb2.ConstructResponse:
        depends: dict[str, list[pulumi.Resource]] = {}
        values = await rpc.serialize_properties(state, depends)
        response = provider_pb2.ConstructResponse(
            urn=await component.urn.future() or "", state=values
        )
        for key, resources in depends.items():
            urns = await asyncio.gather(*(resource.urn.future() for resource in resources))
            response.stateDependencies[key].urns.extend(sorted({urn for urn in urns if urn}))
        return response

    async def _refuse(self, context: Any, what: str, problem: Exception) -> NoReturn:
        if isinstance(problem, pulumi.InputPropertiesError):
            details = problem.errors or []
            lines = "; ".join(f"{d['property_path']}: {d['reason']}" for d in details)
            await context.abort_with_status(
                self.create_grpc_invalid_properties_status(
                    f"{what}: {problem.message} {lines}".strip(), details
                )
            )
        if isinstance(problem, pulumi.InputPropertyError):
            text = f"{what}: {problem.property_path}: {problem.reason}"
            details = [{"property_path": problem.property_path, "reason": problem.reason}]
            await context.abort_with_status(
                self.create_grpc_invalid_properties_status(text, details)
            )
        if not isinstance(problem, (pulumi.RunError, Failure)):
            _log.error("%s failed", what, exc_info=problem)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{what}: {problem}")
        raise AssertionError("abort always raises")


def _options(request: Any) -> pulumi.ResourceOptions:
    """Return the component's options.

    Providers stay references: rehydration would request their configuration, which no child needs.
    """
    providers = dict(request.providers)
    bare = provider_pb2.ConstructRequest()
    bare.CopyFrom(request)
    bare.providers.clear()
    options = Sdk._construct_options(bare)
    options.providers = {
        package: DependencyProviderResource(reference) for package, reference in providers.items()
    }
    return options
