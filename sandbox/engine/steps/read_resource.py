"""Reads existing resources that the stack does not manage (`Type.get(…)`)."""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import resource_pb2

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import StepError
from sandbox.engine.plugins.default_providers import DefaultProviders
from sandbox.engine.state import property_values
from sandbox.engine.state.resource import Resource, make_urn, provider_package


class Reads:
    """Serves the reads of one operation."""

    def __init__(self, deployment: Deployment, defaults: DefaultProviders) -> None:
        self._deployment, self._defaults = deployment, defaults

    def read(self, request: Any, version: str, url: str) -> Any:
        """Read a resource by ID and record it as external; it is never changed or deleted."""
        deployment = self._deployment
        urn = make_urn(
            deployment.request.stack,
            deployment.project.name,
            request.parent,
            request.type,
            request.name,
        )
        with deployment.lock:
            if urn in deployment.claimed:
                raise StepError(
                    urn,
                    f"Two resources have the URN {urn}. Change the name or the parent of one.",
                )
            deployment.claimed.add(urn)
        reference, plugin = self._defaults.resolve(
            request.provider, request.parent, provider_package(request.type), version, url
        )
        inputs = property_values.from_struct(request.properties)
        state = Resource(
            urn=urn, type=request.type, custom=True, inputs=inputs, id=request.id, parent=request.parent,
            external=True, dependencies=sorted(set(request.dependencies)), provider=reference,
            additional_secret_outputs=list(request.additionalSecretOutputs),
        )  # fmt: skip
        old = deployment.olds.get(urn)
        passing = deployment.preview or deployment.destroying  # no result is stored
        if deployment.destroying and old is not None:
            with deployment.lock:
                deployment.registered[urn] = old
            return _answer(old)
        owned = old is not None and not old.external
        if (
            request.id == property_values.UNKNOWN_ID
            or not plugin.known
            or property_values.contains_unknown(inputs)
        ):
            if not passing:
                raise StepError(urn, "Its ID comes from a resource that failed.")
            state.outputs = inputs
        else:
            with deployment.step("replace" if owned else "read", state):
                found = plugin.read(urn, request.id, inputs, inputs)
                if found is None:
                    raise StepError(urn, f"There is no resource with the ID {request.id!r}.")
                state.id, state.outputs = found[0], found[2]
                for key in state.additional_secret_outputs:
                    if key in state.outputs:
                        state.outputs[key] = property_values.secret(state.outputs[key])
        if old is not None and owned:
            deployment.journal.condemn(
                old
            )  # the stack's own resource is deleted at the end of the operation
            old = None
        with deployment.lock:
            deployment.registered[urn] = state
        if not passing:
            deployment.journal.put(state, replacing=old)
        return _answer(state)


def _answer(state: Resource) -> Any:
    properties = property_values.to_struct(state.outputs, secrets=True, resources=True)
    return resource_pb2.ReadResourceResponse(urn=state.urn, properties=properties)
