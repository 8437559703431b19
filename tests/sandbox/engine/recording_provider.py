"""A provider for the engine's tests: package `kit`, whose things live in this process and misbehave on request.

Type `kit:index:Thing`. Inputs: any. Special ones: `size` (a change replaces), `kind` (a change
replaces, the old one being deleted first), `fail` (create, update, delete, read: that operation
fails; partial: it is made, yet fails), `pause` (seconds that creating takes), `hold` (creating ends
when the test sets `released`). Outputs: the inputs, `arn`, and a secret `token`. Function
`kit:index:lookup` returns its arguments and `found`. Methods, of things and of the provider itself,
return what was `said` to whom, as which region's provider.
"""

# ruff: noqa: N802 - gRPC's method names

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from pulumi.runtime.proto import provider_pb2 as p
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from sandbox.engine.state.property_values import (
    UNKNOWN,
    Secret,
    contains_unknown,
    from_struct,
    plain,
    to_struct,
)


def _wire(properties: dict[str, Any]) -> struct_pb2.Struct:
    return to_struct(properties, secrets=True)


class Kit(provider_pb2_grpc.ResourceProviderServicer):
    """The provider with its resources (`things`), `calls` and configuration for assertions."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.secretive: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.configured: list[dict[str, Any]] = []
        self.concurrent = self.most_concurrent = 0
        self.broken: set[str] = set()
        self.released = threading.Event()
        self.meeting: threading.Barrier | None = None  # barrier for concurrent creations
        self._count = 0
        self._lock = threading.Lock()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the live resources with a logical name."""
        return [thing for thing in self.things.values() if thing["__name"] == name]

    def new_id(self, name: str) -> str:
        """Return the ID of a new thing."""
        self._count += 1
        return f"thing-{self._count}"

    def wait_for(self, method: str, name: str) -> None:
        """Wait until the engine has made this call."""
        deadline = time.monotonic() + 120
        while (method, name) not in self.calls:
            assert time.monotonic() < deadline, (
                f"{method} {name} was not asked for; what was: {self.calls}"
            )
            time.sleep(0.02)

    def _note(self, method: str, request: Any) -> None:
        with self._lock:
            self.calls.append((method, request.urn.rsplit("::", 1)[-1]))

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Handshake(self, request: Any, context: Any) -> Any:
        return p.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True
        )

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        from pulumi.runtime.proto import plugin_pb2

        return plugin_pb2.PluginInfo(version="1.2.3")

    def GetSchema(self, request: Any, context: Any) -> Any:
        return p.GetSchemaResponse(schema='{"name":"kit","version":"1.2.3"}')

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return p.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = from_struct(request.old_inputs), from_struct(request.news)
        changed = sorted(
            key for key in {*old, *new} if old.get(key) != new.get(key) and key != "version"
        )
        return p.DiffResponse(
            changes=p.DiffResponse.DIFF_SOME if changed else p.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "account"],
        )

    def Configure(self, request: Any, context: Any) -> Any:
        self.configured.append(plain(from_struct(request.args)))
        return p.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        self._note("check", request)
        inputs = from_struct(request.news)
        failures = (
            [p.CheckFailure(property="bad", reason="it is not allowed")] if "bad" in inputs else []
        )
        inputs.setdefault("defaulted", "by kit")
        return p.CheckResponse(inputs=_wire(inputs), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        self._note("diff", request)
        old, new = plain(from_struct(request.old_inputs)), plain(from_struct(request.news))
        detailed, first = {}, False
        for key in sorted({*old, *new}):
            if key in old and key in new and old[key] == new[key]:
                continue
            replaces = key in ("size", "kind")
            first = first or key == "kind"
            kind = "ADD" if key not in old else "DELETE" if key not in new else "UPDATE"
            detailed[key] = p.PropertyDiff(
                kind=p.PropertyDiff.Kind.Value(f"{kind}_REPLACE" if replaces else kind),
                inputDiff=True,
            )
        return p.DiffResponse(
            changes=p.DiffResponse.DIFF_SOME if detailed else p.DiffResponse.DIFF_NONE,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            diffs=list(detailed),
            replaces=[key for key in detailed if key in ("size", "kind")],
            deleteBeforeReplace=first,
        )

    def _fail_if_asked(
        self, inputs: dict[str, Any], operation: str, context: Any, name: str
    ) -> None:
        if plain(inputs.get("fail")) == operation or f"{operation} {name}" in self.broken:
            context.abort(grpc.StatusCode.UNKNOWN, f"the {operation} of {name} went wrong")

    def Create(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.properties)
        if request.preview:
            return p.CreateResponse(
                properties=_wire({**inputs, "arn": UNKNOWN, "token": Secret(UNKNOWN)})
            )
        self._note("create", request)
        assert not contains_unknown(inputs)
        with self._lock:
            self.concurrent += 1
            self.most_concurrent = max(self.most_concurrent, self.concurrent)
        if self.meeting is not None:
            self.meeting.wait(120)
        if plain(inputs.get("hold")):
            self.released.wait(240)
        time.sleep(float(plain(inputs.get("pause", 0))))
        with self._lock:
            self.concurrent -= 1
        self._fail_if_asked(inputs, "create", context, request.name)
        with self._lock:
            identifier = self.new_id(request.name)
            self.things[identifier] = {**plain(inputs), "__name": request.name}
            self.secretive[identifier] = inputs
        state = self._state(identifier, inputs)
        if plain(inputs.get("fail")) == "partial":
            self._fail_partially(identifier, state, context)
        return p.CreateResponse(id=identifier, properties=_wire(state))

    @staticmethod
    def _state(identifier: str, inputs: dict[str, Any]) -> dict[str, Any]:
        return {**inputs, "arn": f"arn:kit:{identifier}", "token": Secret(f"hush-{identifier}")}

    @staticmethod
    def _fail_partially(identifier: str, state: dict[str, Any], context: Any) -> None:
        detail = any_pb2.Any()
        detail.Pack(
            p.ErrorResourceInitFailed(
                id=identifier, properties=_wire(state), reasons=["it never got ready"]
            )
        )
        status = status_pb2.Status(code=2, message="made, but not ready", details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.UNKNOWN, "made, but not ready")

    def Update(self, request: Any, context: Any) -> Any:
        inputs = from_struct(request.news)
        if not request.preview:
            self._note("update", request)
            self._fail_if_asked(inputs, "update", context, request.name)
            self.things[request.id] = {**plain(inputs), "__name": request.name}
            self.secretive[request.id] = inputs
        return p.UpdateResponse(properties=_wire(self._state(request.id, inputs)))

    def Read(self, request: Any, context: Any) -> Any:
        self._note("read", request)
        thing = self.things.get(request.id)
        if thing is None:
            return p.ReadResponse()
        inputs = {key: value for key, value in thing.items() if key != "__name"}
        self._fail_if_asked(inputs, "read", context, request.name)
        remaining = self.secretive.get(request.id, {})
        inputs = {
            key: Secret(item) if isinstance(remaining.get(key), Secret) else item
            for key, item in inputs.items()
        }
        return p.ReadResponse(
            id=request.id, inputs=_wire(inputs), properties=_wire(self._state(request.id, inputs))
        )

    def Delete(self, request: Any, context: Any) -> Any:
        self._note("delete", request)
        self._fail_if_asked(from_struct(request.properties), "delete", context, request.name)
        if request.id not in self.things:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.id} doesn't exist")
        del self.things[request.id]
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        arguments = from_struct(request.args)
        response = p.InvokeResponse()
        if "bad" in arguments:
            response.failures.add(property="bad", reason="it is not allowed")
        getattr(response, "return").CopyFrom(_wire({**arguments, "found": "yes"}))
        return response

    def Call(self, request: Any, context: Any) -> Any:
        itself = plain(from_struct(request.args)["__self__"])
        said = f"{request.tok} of {itself['urn'].rsplit('::', 1)[-1]} as {self.configured[-1].get('region', 'default')}"
        response = p.CallResponse()
        getattr(response, "return").CopyFrom(_wire({"said": said, "hidden": Secret("hush")}))
        return response

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


@contextmanager
def serving(kit: Kit) -> Iterator[int]:
    """Serve a kit provider on a loopback port."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(kit, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        kit.released.set()
        server.stop(grace=None).wait()
