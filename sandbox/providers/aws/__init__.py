"""The AWS provider of the sandbox: a table of resource types and functions over boto3, one module per service.

Each module of this package may have `TYPES` (handlers, see `resource`) and `FUNCTIONS` (see `functions`); they are
found by themselves.
"""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from sandbox.providers.aws import sdk, session
from sandbox.providers.aws.function import Function
from sandbox.providers.aws.operation import Call
from sandbox.providers.aws.properties import nearest
from sandbox.providers.aws.resource import Handler
from sandbox.providers.protocol import (
    Change,
    Checked,
    Connection,
    Created,
    Difference,
    Failure,
    Found,
    Invoked,
    Properties,
    Provider,
    Resource,
    Updated,
    plain_difference,
)


@cache
def handlers() -> Mapping[str, Handler]:
    """Every emulated resource type by token."""
    return {handler.token: handler for module in _modules() for handler in getattr(module, "TYPES", ())}


@cache
def functions() -> Mapping[str, Function]:
    """Every emulated function by token."""
    return {function.token: function for module in _modules() for function in getattr(module, "FUNCTIONS", ())}


def _modules() -> list[Any]:
    modules = pkgutil.walk_packages(__path__, f"{__name__}.")
    return [importlib.import_module(module.name) for module in modules]


class Aws(Connection):
    """The AWS provider with one configuration."""

    def __init__(self, config: Properties) -> None:
        self._session = session.Session(config)
        self._session.verify()

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        """See the base class."""
        return self._handler(resource).checked(self._call(resource, new), old, new, seed)

    def diff(
        self, resource: Resource, id: str, old_inputs: Properties, old_state: Properties, new_inputs: Properties
    ) -> Difference:
        """See the base class."""
        del id
        return self._handler(resource).difference(old_inputs, old_state, new_inputs)

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """See the base class."""
        return self._handler(resource).created(self._call(resource, inputs), inputs, preview)

    def read(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> Found | None:
        """See the base class."""
        return self._handler(resource).found(self._call(resource, state), id, inputs, state)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
        preview: bool,
    ) -> Updated:
        """See the base class."""
        call = self._call(resource, old_state)
        return self._handler(resource).updated(call, id, old_inputs, old_state, new_inputs, preview=preview)

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """See the base class."""
        del inputs
        self._handler(resource).deleted(self._call(resource, state), id, state)

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """See the base class."""
        del preview
        function = functions().get(token)
        if function is None:
            raise Failure(f"the function {token} isn't emulated by the sandbox{nearest(token, functions())}")
        return function.invoked(self._call(Resource("", token, token), args), args)

    def _handler(self, resource: Resource) -> Handler:
        handler = handlers().get(resource.type)
        if handler is None:
            what = "isn't emulated by the sandbox" if sdk.resource_class(resource.type) else "is no type of pulumi_aws"
            raise Failure(f"the resource type {resource.type} {what}{nearest(resource.type, handlers())}")
        return handler

    def _call(self, resource: Resource, values: Properties) -> Call:
        region = values.get("region")
        return Call(self._session, resource, region if isinstance(region, str) and region else self._session.region)


class AwsProvider(Provider):
    """The AWS provider before it is configured."""

    name = "aws"

    def __init__(self) -> None:
        self.version = sdk.version()
        handlers()  # an import that fails must fail at the start, not in the middle of an update
        threading.Thread(target=_warm_up, daemon=True).start()

    def connect(self, config: Properties) -> Connection:
        """See the base class."""
        return Aws(config)

    def check_configuration(self, old: Properties, new: Properties) -> Checked:
        """Refuse configuration that isn't emulated, by name."""
        del old
        return Checked(new, session.problems(new))

    def diff_configuration(self, old: Properties, new: Properties) -> Difference:
        """Another region is another provider, and everything of the old one is replaced by things there."""
        plain = plain_difference(old, new)
        moved = plain.changes.get("region") is Change.UPDATE
        return Difference({**plain.changes, "region": Change.UPDATE_REPLACE}) if moved else plain


def _warm_up() -> None:
    """Load the SDK's modules, seconds of work, before the first program asks for their names."""
    for token in handlers():
        sdk.arguments(token)


def provider() -> Provider:
    """Make the provider, for `sandbox.providers.__main__`."""
    return AwsProvider()
