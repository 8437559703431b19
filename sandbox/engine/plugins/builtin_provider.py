"""The built-in package `pulumi`: stack references and stashes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.engine.errors import ProviderError
from sandbox.engine.plugins.provider_client import Difference, ProviderClient
from sandbox.engine.state.property_values import Properties, contains_secret, equal
from sandbox.engine.state.resource import urn_type

PACKAGE = "pulumi"
_REFERENCE = "pulumi:pulumi:StackReference"
_STASH = "pulumi:index:Stash"


class Stacks(NamedTuple):
    """Reads other stacks by name: their outputs, and each resource's outputs."""

    outputs: Callable[[str], Properties]
    resources: Callable[[str], Properties]


class Builtins(ProviderClient):
    """Has the interface of a provider client."""

    def __init__(self, stacks: Stacks) -> None:
        self.package, self.known, self._stacks = PACKAGE, True, stacks

    def check_config(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Return the configuration; there is none."""
        _ = (urn, old, new)
        return {}

    def diff_config(
        self, urn: str, old_inputs: Properties, old_outputs: Properties, new: Properties
    ) -> Difference:
        """Return no difference; there is no configuration."""
        _ = (urn, old_inputs, old_outputs, new)
        return Difference(False)

    def configure(self, urn: str, identifier: str, inputs: Properties) -> None:
        """Do nothing; there is no configuration."""

    def check(
        self,
        urn: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        seed: bytes,
    ) -> Properties:
        """Validate a stash's inputs; a stack reference is read, never created."""
        _ = (old_inputs, old_outputs, seed)
        if urn_type(urn) != _STASH:
            raise ProviderError(f"The package `pulumi` has no resource {urn_type(urn)} to create.")
        unknown_keys = [f"{key}: a stash has no such property" for key in new if key != "input"]
        if unknown_keys or "input" not in new:
            raise ProviderError("\n".join(unknown_keys) or "input: required for a stash")
        return dict(new)

    def diff(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
    ) -> Difference:
        """Compare a stash's inputs; its output stays the first input."""
        _ = (urn, identifier, old_outputs, ignored)
        changed = not equal(old_inputs.get("input"), new.get("input"))
        return Difference(changed, changed=["input"] if changed else [])

    def create(
        self, urn: str, inputs: Properties, *, timeout: float, preview: bool
    ) -> tuple[str, Properties]:
        """Create a stash."""
        _ = (urn, timeout)
        return "" if preview else str(uuid.uuid4()), {
            "input": inputs["input"],
            "output": inputs["input"],
        }

    def update(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
        *,
        timeout: float,
        preview: bool,
    ) -> Properties:
        """Update a stash's input."""
        _ = (urn, identifier, old_inputs, ignored, timeout, preview)
        return {"input": new["input"], "output": old_outputs.get("output")}

    def read(
        self,
        urn: str,
        identifier: str,
        inputs: Properties | None,
        outputs: Properties,
        *,
        timeout: float = 0,
    ) -> tuple[str, Properties, Properties] | None:
        """Read another stack's outputs; a stash is read from the state."""
        _ = timeout
        inputs = outputs if inputs is None else inputs
        if urn_type(urn) == _REFERENCE:
            if "name" not in inputs:
                raise ProviderError(
                    "A stack reference cannot be imported; read it by the stack's name."
                )
            return identifier, inputs, self._outputs(str(inputs["name"]))
        if urn_type(urn) == _STASH and inputs:
            return identifier, inputs, outputs
        raise ProviderError(f"The package `pulumi` has no resource {urn_type(urn)} to read.")

    def delete(
        self, urn: str, identifier: str, inputs: Properties, outputs: Properties, *, timeout: float
    ) -> None:
        """Do nothing; a stash exists in the state only."""

    def invoke(
        self, token: str, arguments: Properties, *, preview: bool
    ) -> tuple[Properties | None, list[Any]]:
        """Read another stack."""
        _ = preview
        if token == "pulumi:pulumi:readStackOutputs":  # noqa: S105 - a function's token
            return self._outputs(str(arguments.get("name", ""))), []
        if token == "pulumi:pulumi:readStackResourceOutputs":  # noqa: S105 - a function's token
            name = str(arguments.get("stackName", ""))
            return {"name": name, "outputs": self._stacks.resources(name)}, []
        raise ProviderError(f"The package `pulumi` has no function {token}.")

    def _outputs(self, name: str) -> Properties:
        outputs = self._stacks.outputs(name)
        secret = sorted(key for key, value in outputs.items() if contains_secret(value))
        return {"name": name, "outputs": outputs, "secretOutputNames": secret}

    def construct(self, fill: Callable[[Any], None], inputs: Properties) -> Any:
        """Refuse: there is no built-in component."""
        _ = (fill, inputs)
        raise ProviderError("The package `pulumi` has no components.")

    def call(self, fill: Callable[[Any], None], arguments: Properties) -> Any:
        """Refuse: there is no built-in method."""
        _ = (fill, arguments)
        raise ProviderError("The package `pulumi` has no methods.")

    def cancel(self) -> None:
        """Do nothing; no call takes long."""

    def close(self) -> None:
        """Do nothing; there is no connection."""
