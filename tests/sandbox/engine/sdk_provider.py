"""A stranger's provider, package `plain`: the SDK's experimental one with its own servicer, nothing else.

Run as a process; prints its port. `plain:index:Thing`: `size` replaces; `bad…` inputs are refused;
`fail` raises; `crash` ends the process while it creates; `pause` (seconds) delays creating.
"""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pulumi.provider.experimental.provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

_FILE = Path(os.environ["PLAIN_FILE"])


def _things() -> dict[str, Any]:
    return dict(json.loads(_FILE.read_text())) if _FILE.exists() else {}


def _plain(value: Any) -> Any:
    while isinstance(value, PropertyValue):
        value = value.value
    return value


class Plain(sdk.Provider):
    """Stores its resources in a file."""

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        invalid = [
            sdk.CheckFailure(key, "it is not allowed")
            for key in sorted(request.new_inputs)
            if key.startswith("bad")
        ]
        return sdk.CheckResponse(inputs=request.new_inputs, failures=invalid)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        old, new = request.old_state, request.new_inputs
        changed = [key for key in new if _plain(old.get(key)) != _plain(new[key])]
        changed += [key for key in old if key not in new and key != "arn"]
        replaces = [key for key in changed if key == "size"]
        return sdk.DiffResponse(changes=bool(changed), diffs=changed, replaces=replaces)

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        if request.preview:
            return sdk.CreateResponse(properties=request.properties)
        inputs = {key: _plain(value) for key, value in request.properties.items()}
        await asyncio.sleep(inputs.get("pause") or 0)
        if inputs.get("crash"):
            os._exit(3)
        if inputs.get("fail"):
            raise ValueError(inputs["fail"])
        identifier = uuid.uuid4().hex
        _FILE.write_text(json.dumps(_things() | {identifier: inputs}))
        return sdk.CreateResponse(
            resource_id=identifier,
            properties={**request.properties, "arn": PropertyValue(f"arn:{identifier}")},
        )

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        return sdk.UpdateResponse(
            properties={**request.news, "arn": PropertyValue(f"arn:{request.resource_id}")},
        )

    async def delete(self, request: sdk.DeleteRequest) -> None:
        things = _things()
        del things[request.resource_id]
        _FILE.write_text(json.dumps(things))


if __name__ == "__main__":
    main([], "1.0.0", Plain())
