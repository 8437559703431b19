"""The package `pulumi`, which the engine serves itself: references to other stacks, and stashes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.engine.errors import ProviderError
from sandbox.engine.plugins.provider_client import Difference, Plugin
from sandbox.engine.state.property_values import Properties, contains_secret, equal
from sandbox.engine.state.resource import urn_type

PACKAGE = "pulumi"
_REFERENCE = "pulumi:pulumi:StackReference"
_STASH = "pulumi:index:Stash"


class Stacks(NamedTuple):
    """What other stacks hold, by name: their outputs, and the outputs of each of their resources."""

    outputs: Callable[[str], Properties]
    resources: Callable[[str], Properties]


class Builtins(Plugin):
    """Answers as a provider plugin does."""

    def __init__(self, stacks: Stacks) -> None:
        self.package, self.known, self._stacks = PACKAGE, True, stacks

    def check_config(self, urn: str, old: Properties, new: Properties) -> Properties:
        """There is nothing to configure."""
        _ = (urn, old, new)
        return {}

    def diff_config(self, urn: str, old_inputs: Properties, old_outputs: Properties, new: Properties) -> Difference:
        """There is nothing to configure."""
        _ = (urn, old_inputs, old_outputs, new)
        return Difference(False)

    def configure(self, urn: str, identifier: str, inputs: Properties) -> None:
        """There is nothing to configure."""

    def check(self, urn: str, old: Properties, new: Properties, seed: bytes) -> Properties:
        """A stash has an input and nothing else; a stack reference is looked up, never made."""
        _ = (old, seed)
        if urn_type(urn) != _STASH:
            raise ProviderError(f"The package `pulumi` has no resource {urn_type(urn)} that can be made.")
        wrong = [f"{key}: a stash has no such property" for key in new if key != "input"]
        if wrong or "input" not in new:
            raise ProviderError("\n".join(wrong) or "input: a stash needs it")
        return dict(new)

    def diff(
        self, urn: str, identifier: str, old_inputs: Properties, old_outputs: Properties, new: Properties,
        ignored: list[str],
    ) -> Difference:  # fmt: skip
        """A stash notes its input; what it gives out stays what it first was."""
        _ = (urn, identifier, old_outputs, ignored)
        changed = not equal(old_inputs.get("input"), new.get("input"))
        return Difference(changed, changed=["input"] if changed else [])

    def create(self, urn: str, inputs: Properties, *, timeout: float, preview: bool) -> tuple[str, Properties]:
        """Make a stash."""
        _ = (urn, timeout)
        return "" if preview else str(uuid.uuid4()), {"input": inputs["input"], "output": inputs["input"]}

    def update(
        self, urn: str, identifier: str, old_inputs: Properties, old_outputs: Properties, new: Properties,
        ignored: list[str], *, timeout: float, preview: bool,
    ) -> Properties:  # fmt: skip
        """Note a stash's new input."""
        _ = (urn, identifier, old_inputs, ignored, timeout, preview)
        return {"input": new["input"], "output": old_outputs.get("output")}

    def read(
        self, urn: str, identifier: str, inputs: Properties, outputs: Properties, *, timeout: float = 0
    ) -> tuple[str, Properties, Properties] | None:
        """Look up another stack's outputs; a stash is what the state says it is."""
        _ = timeout
        if urn_type(urn) == _REFERENCE:
            if "name" not in inputs:
                raise ProviderError("A stack reference can't be imported; it is looked up by the stack's name.")
            return identifier, inputs, self._outputs(str(inputs["name"]))
        if urn_type(urn) == _STASH and inputs:
            return identifier, inputs, outputs
        raise ProviderError(f"The package `pulumi` has no resource {urn_type(urn)} that can be looked up.")

    def delete(self, urn: str, identifier: str, inputs: Properties, outputs: Properties, *, timeout: float) -> None:
        """There is nothing but the state."""

    def invoke(self, token: str, arguments: Properties, *, preview: bool) -> tuple[Properties | None, list[Any]]:
        """Read another stack without a resource for it."""
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
        """No component is built in."""
        _ = (fill, inputs)
        raise ProviderError("The package `pulumi` has no components.")

    def call(self, fill: Callable[[Any], None], arguments: Properties) -> Any:
        """No method is built in."""
        _ = (fill, arguments)
        raise ProviderError("The package `pulumi` has no methods.")

    def cancel(self) -> None:
        """Nothing takes long."""

    def close(self) -> None:
        """There is no connection."""
