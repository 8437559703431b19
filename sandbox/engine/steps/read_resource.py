"""Reads existing resources that the stack does not manage (`Type.get(…)`)."""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import resource_pb2

from sandbox.engine.deployment import Deployment
from sandbox.engine.errors import StepError
from sandbox.engine.plugins.default_providers import DefaultProviders
from sandbox.engine.state import property_values
from sandbox.engine.state.resource import Resource, make_urn, provider_package
from sandbox.engine.steps.aliases import inherited_urns


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
            urn=urn,
            type=request.type,
            custom=True,
            inputs=inputs,
            id=request.id,
            parent=request.parent,
            external=True,
            dependencies=sorted(set(request.dependencies)),
            provider=reference,
            additional_secret_outputs=list(request.additionalSecretOutputs),
        )
        old = self._old_state(request, urn)
        passing = deployment.preview or deployment.destroying  # no result is stored
        if deployment.destroying and old is not None:
            with deployment.lock:
                deployment.registered[urn] = old
            return _answer(old)
        # A resource of the stack with the same ID is released: it leaves the stack and stays.
        replaces = old is not None and not old.external and old.id != request.id
        if (
            request.id == property_values.UNKNOWN_ID
            or not plugin.known
            or property_values.contains_unknown(inputs)
        ):
            if not passing:
                raise StepError(urn, "Its ID comes from a resource that failed.")
            state.outputs = inputs
        else:
            with deployment.step("replace" if replaces else "read", state):
                live = plugin.read(urn, request.id, None, inputs)
                if live is None:
                    raise StepError(urn, f"There is no resource with the ID {request.id!r}.")
                state.id, state.outputs = live[0], live[2]
                property_values.annotate_secrets(state.outputs, inputs)
                state.mark_secret_outputs()
        if old is not None and replaces:
            deployment.journal.condemn(old)  # deleted at the end of the operation
            old = None
        with deployment.lock:
            deployment.registered[urn] = state
        if not passing:
            deployment.journal.put(state, replacing=old)
        return _answer(state)

    def _old_state(self, request: Any, urn: str) -> Resource | None:
        """Return the state under this URN, or under the one before its parent was renamed."""
        deployment = self._deployment
        with deployment.lock:
            former = inherited_urns(request.type, request.name, request.parent, (), deployment)
            for candidate in (urn, *former):
                old = deployment.olds.get(candidate)
                if old is None or (candidate != urn and candidate in deployment.claimed):
                    continue
                if candidate != urn:
                    deployment.aliases[urn] = candidate
                    deployment.claimed.add(candidate)
                    deployment.journal.rename(old, {candidate: urn})
                return old
        return None


def _answer(state: Resource) -> Any:
    properties = property_values.to_struct(state.outputs, secrets=True, resources=True)
    return resource_pb2.ReadResourceResponse(urn=state.urn, properties=properties)
