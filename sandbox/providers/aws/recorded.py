"""Resource types that are not emulated, recorded in the state only: `--unemulated record`.

Inputs become outputs, IDs and ARNs are generated, and every change is an update. A resource stays
recorded until it is deleted, also without the option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sandbox.contracts.recorded_resources import MARK
from sandbox.providers.aws import sdk
from sandbox.providers.aws.properties import Property
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Checked, Found, Properties, Resource
from sandbox.runtime.home import Home

NOTICE = "not emulated: this resource is recorded in the state only, and does nothing"


def is_recording(resource: Resource, *inputs: Properties) -> bool:
    """Whether a resource is recorded already, or its stack has `--unemulated record`."""
    if any(MARK in values for values in inputs):
        return True
    prefix, project, *_ = resource.urn.split("::")  # urn:pulumi:STACK::PROJECT::…
    return Home.of_project().is_recording(project, prefix.removeprefix("urn:pulumi:"))


class Recorded(Handler):
    """A type of the SDK, with the arguments and outputs of its class."""

    missing = ("NotRecorded",)

    def checked(self, call: Call, old: Properties, new: Properties, seed: bytes) -> Checked:
        """Mark the inputs, and report that the resource does nothing."""
        call.resource.log("warning", NOTICE)
        checked = super().checked(call, old, new, seed)
        return Checked({**checked.inputs, MARK: True}, checked.failures)

    def found(self, call: Call, id: str, inputs: Properties, state: Properties) -> Found | None:
        """Return the record; there is nothing to import."""
        if not state:
            return None
        call.resource.log("warning", NOTICE)
        existing = super().found(call, id, inputs, state)
        return existing and Found(
            existing.id, existing.state, {**existing.inputs, MARK: True}, existing.secrets
        )

    def create(self, call: Call, inputs: Properties) -> str:
        """Generate an ID from the name."""
        return call.record_created(str(inputs.get("name") or call.resource.name))

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Return the recorded values and the generated ones."""
        generated = {name: self._generated(call, id, name) for name in self.outputs}
        recorded = {name: value for name, value in state.items() if not name.startswith("__")}
        return {
            name: value for name, value in {**generated, **recorded}.items() if value is not None
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Record the new values."""

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Record the new tags."""

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Forget the record."""
        call.resource.log("warning", NOTICE)

    def _generated(self, call: Call, id: str, name: str) -> str | None:
        _, module, kind = self.token.split(":")
        if name == "arn" or name.endswith("Arn"):
            return call.arn(module.split("/")[0], f"{kind.lower()}/{id}")
        if name.endswith("Id"):
            return id
        if name.endswith(("Url", "Uri")):
            return f"https://{id}.invalid"  # a name that never resolves (RFC 2606)
        return f"{id}.invalid" if name in {"dnsName", "domainName", "endpoint"} else None


@cache
def recorded_type(token: str) -> Handler:
    """Return the handler of a type that is not emulated."""
    arguments = sdk.arguments(token)
    members: dict[str, Any] = {
        "token": token,
        "noun": token.split(":")[2],
        "inputs": {
            name: Property(kind="any") for name in arguments - {"tags", "tagsAll", "region"}
        },
        "outputs": sorted(sdk.outputs(token) - arguments - {"tagsAll", "region", "id"}),
        "autoname": AutoName("name", 64) if "name" in arguments else None,
        "tagged": "tags" in arguments,
    }
    handler: Handler = type("RecordedType", (Recorded,), members)()
    return handler
