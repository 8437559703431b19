"""A client that talks to a provider over gRPC as an engine does, for the tests of every provider.

with Served({"aws": provider()}) as served:
    aws = served.attach("aws", {"region": "us-east-1"})
    made = aws.up("aws:ec2/vpc:Vpc", "main", {"cidrBlock": "10.0.0.0/16"})
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from sandbox.providers.property_values import Path, decode, encode
from sandbox.providers.protocol import Provider
from sandbox.providers.server import serve

SEED = b"\x07" * 32


@dataclass(frozen=True)
class Made:
    """A resource in the engine's state."""

    type: str
    name: str
    id: str
    inputs: dict[str, Any]
    state: dict[str, Any]
    secrets: frozenset[Path] = frozenset()


class CheckFailed(Exception):  # noqa: N818 -- what it is, not what went wrong with the test
    """The failures of Check, as `property: reason` lines."""


class Failed(Exception):  # noqa: N818 -- as above
    """A gRPC error."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__(error.details())
        self.code: grpc.StatusCode = error.code()
        self.partial: pb.ErrorResourceInitFailed | None = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                self.partial = pb.ErrorResourceInitFailed()
                status.details[0].Unpack(self.partial)


@dataclass
class Client:
    """One provider instance of one engine, on its own connection."""

    stub: provider_pb2_grpc.ResourceProviderStub
    channel: grpc.Channel
    known: dict[str, Made] = field(default_factory=dict)

    def urn(self, type: str, name: str) -> str:
        return f"urn:pulumi:test::project::{type}::{name}"

    def call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=240)
        except grpc.RpcError as error:
            raise Failed(error) from None

    def configure(self, config: Mapping[str, Any]) -> None:
        checked = self.call(
            "CheckConfig",
            pb.CheckRequest(urn=self.urn("pulumi:providers:x", "x"), news=encode(config)),
        )
        if checked.failures:
            raise CheckFailed("\n".join(f"{f.property}: {f.reason}" for f in checked.failures))
        self.call(
            "Configure",
            pb.ConfigureRequest(args=checked.inputs, acceptSecrets=True, acceptResources=True),
        )

    def check(
        self,
        type: str,
        name: str,
        news: Mapping[str, Any],
        olds: Mapping[str, Any] | None = None,
        secrets: Any = (),
    ) -> dict[str, Any]:
        response = self.call(
            "Check",
            pb.CheckRequest(
                urn=self.urn(type, name),
                news=encode(news, secrets),
                olds=encode(olds or {}),
                randomSeed=SEED,
            ),
        )
        if response.failures:
            raise CheckFailed("\n".join(f"{f.property}: {f.reason}" for f in response.failures))
        return decode(response.inputs).values

    def preview(self, type: str, name: str, news: Mapping[str, Any]) -> dict[str, Any]:
        inputs = self.check(type, name, news)
        request = pb.CreateRequest(
            urn=self.urn(type, name), properties=encode(inputs), preview=True
        )
        return decode(self.call("Create", request).properties).values

    def create(self, type: str, name: str, news: Mapping[str, Any], secrets: Any = ()) -> Made:
        inputs = self.check(type, name, news, secrets=secrets)
        request = pb.CreateRequest(urn=self.urn(type, name), properties=encode(inputs, secrets))
        response = self.call("Create", request)
        state = decode(response.properties)
        return Made(type, name, response.id, inputs, state.values, state.secrets)

    def diff(
        self, made: Made, news: Mapping[str, Any], ignore: Any = ()
    ) -> tuple[pb.DiffResponse, dict[str, Any]]:
        inputs = self.check(made.type, made.name, news, made.inputs)
        request = pb.DiffRequest(
            urn=self.urn(made.type, made.name),
            id=made.id,
            olds=encode(made.state),
            old_inputs=encode(made.inputs),
            news=encode(inputs),
            ignoreChanges=list(ignore),
        )
        return self.call("Diff", request), inputs

    def update(
        self, made: Made, news: Mapping[str, Any], *, preview: bool = False, ignore: Any = ()
    ) -> Made:
        inputs = self.check(made.type, made.name, news, made.inputs)
        request = pb.UpdateRequest(
            urn=self.urn(made.type, made.name),
            id=made.id,
            olds=encode(made.state),
            old_inputs=encode(made.inputs),
            news=encode(inputs),
            preview=preview,
            ignoreChanges=list(ignore),
        )
        state = decode(self.call("Update", request).properties)
        return Made(made.type, made.name, made.id, inputs, state.values, state.secrets)

    def read(self, made: Made) -> Made | None:
        request = pb.ReadRequest(
            urn=self.urn(made.type, made.name),
            id=made.id,
            properties=encode(made.state),
            inputs=encode(made.inputs),
        )
        return self._found(made.type, made.name, self.call("Read", request))

    def import_(self, type: str, name: str, id: str) -> Made | None:
        return self._found(
            type, name, self.call("Read", pb.ReadRequest(urn=self.urn(type, name), id=id))
        )

    def _found(self, type: str, name: str, answer: pb.ReadResponse) -> Made | None:
        if not answer.id:
            return None
        state, inputs = decode(answer.properties), decode(answer.inputs)
        return Made(type, name, answer.id, inputs.values, state.values, state.secrets)

    def delete(self, made: Made) -> None:
        request = pb.DeleteRequest(
            urn=self.urn(made.type, made.name),
            id=made.id,
            properties=encode(made.state),
            old_inputs=encode(made.inputs),
        )
        self.call("Delete", request)

    def invoke(self, token: str, args: Mapping[str, Any]) -> dict[str, Any]:
        response = self.call("Invoke", pb.InvokeRequest(tok=token, args=encode(args)))
        if response.failures:
            raise CheckFailed("\n".join(f"{f.property}: {f.reason}" for f in response.failures))
        return decode(getattr(response, "return")).values


class Served:
    """Providers served in this process, on their own event loop."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.ports, self._servers = asyncio.run_coroutine_threadsafe(
            serve(providers), self._loop
        ).result(120)
        self._clients: list[Client] = []

    def attach(
        self, name: str, config: Mapping[str, Any] | None = None, directory: str = ""
    ) -> Client:
        """Return a new provider instance, configured if a configuration is given."""
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.ports[name]}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        client = Client(provider_pb2_grpc.ResourceProviderStub(channel), channel)
        client.call("Handshake", pb.ProviderHandshakeRequest(program_directory=directory))
        if config is not None:
            client.configure(config)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.channel.close()

        async def stop() -> None:
            await asyncio.gather(*(server.stop(grace=1) for server in self._servers))

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


EMPTY = empty_pb2.Empty()
