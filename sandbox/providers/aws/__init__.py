"""The sandbox's AWS provider: resource types and functions over boto3, one module per service.

A module may have `TYPES` (handlers, see `resource`) and `FUNCTIONS` (see `function`); they are
discovered.
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
from sandbox.providers.aws.recorded import is_recording, recorded_type
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
    """Return every emulated resource type by token."""
    return {
        handler.token: handler for module in _modules() for handler in getattr(module, "TYPES", ())
    }


@cache
def functions() -> Mapping[str, Function]:
    """Return every emulated function by token."""
    return {
        function.token: function
        for module in _modules()
        for function in getattr(module, "FUNCTIONS", ())
    }


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
        handler = self._handler(resource, old)
        return handler.checked(self._call(resource, new), old, new, seed)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        """See the base class."""
        del id
        return self._handler(resource, old_inputs).difference(old_inputs, old_state, new_inputs)

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        """See the base class."""
        handler = self._handler(resource, inputs)
        return handler.created(self._call(resource, inputs), inputs, preview)

    def read(
        self, resource: Resource, id: str, inputs: Properties, state: Properties
    ) -> Found | None:
        """See the base class."""
        handler = self._handler(resource, inputs)
        return handler.found(self._call(resource, state), id, inputs, state)

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
        return self._handler(resource, old_inputs).updated(
            call, id, old_inputs, old_state, new_inputs, preview=preview
        )

    def delete(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> None:
        """See the base class."""
        self._handler(resource, inputs).deleted(self._call(resource, state), id, state)

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        """See the base class."""
        del preview
        function = functions().get(token)
        if function is None:
            suggestion = "" if sdk.has_function(token) else nearest(token, functions())
            raise Failure(
                f"the function {token} is not emulated by the sandbox{suggestion}; "
                "sandbox/providers/aws/README.md lists those that are"
            )
        return function.invoked(self._call(Resource("", token, token), args), args)

    def _handler(self, resource: Resource, inputs: Properties) -> Handler:
        token = resource.type
        handler = handlers().get(token)
        if handler is not None:
            return handler
        if sdk.resource_class(token) is None:
            raise Failure(
                f"the resource type {token} is not a type of pulumi_aws{nearest(token, handlers())}"
            )
        if is_recording(resource, inputs):
            return recorded_type(token)
        raise Failure(
            f"the resource type {token} is not emulated by the sandbox; `--unemulated record` of "
            "`sandbox up` records such resources in the state only"
        )

    def _call(self, resource: Resource, values: Properties) -> Call:
        region = values.get("region")
        return Call(
            self._session,
            resource,
            region if isinstance(region, str) and region else self._session.region,
        )


class AwsProvider(Provider):
    """The AWS provider before it is configured."""

    name = "aws"

    def __init__(self) -> None:
        self.version = sdk.version()
        handlers()  # an import error must occur at the start, not during an update
        threading.Thread(target=_warm_up, daemon=True).start()

    def connect(self, config: Properties) -> Connection:
        """See the base class."""
        return Aws(config)

    def check_configuration(self, old: Properties, new: Properties) -> Checked:
        """Refuse unsupported configuration by name."""
        del old
        return Checked(new, session.problems(new))

    def diff_configuration(self, old: Properties, new: Properties) -> Difference:
        """Replace all resources if the region changes."""
        plain = plain_difference(old, new)
        moved = plain.changes.get("region") is Change.UPDATE
        return Difference({**plain.changes, "region": Change.UPDATE_REPLACE}) if moved else plain


def _warm_up() -> None:
    """Load the SDK's modules, which takes seconds, before the first program needs them."""
    for token in handlers():
        sdk.arguments(token)


def provider() -> Provider:
    """Return the provider for `sandbox.providers.__main__`."""
    return AwsProvider()
