"""A provider of remote components, package `box`: prints its port, serves until stdin closes.

Component `box:index:Pair`: two kit resources, the second depends on the first; fails if `fail` is
set.
"""

# ruff: noqa: N802 - gRPC's method names

# The SDK evaluates these annotations at run time, so they must not be strings.
import asyncio
import sys
from typing import Any, Optional, TypedDict

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc


class PairArgs(TypedDict):
    """Arguments of a pair."""

    colour: pulumi.Input[str]
    fail: Optional[pulumi.Input[bool]]  # noqa: UP045 - the only spelling that the SDK's analyzer reads


class Pair(pulumi.ComponentResource):
    """Two resources, the second depends on the first."""

    arn: pulumi.Output[str]
    hidden: pulumi.Output[str]

    def __init__(
        self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("box:index:Pair", name, {}, opts)
        if args.get("fail"):
            raise ValueError("a pair can't be made today")
        child = pulumi.ResourceOptions(parent=self)
        names = {"arn": None, "token": None}
        first: Any = _Thing(f"{name}-first", {**names, "colour": args["colour"]}, child)
        second: Any = _Thing(f"{name}-second", {**names, "of": first.arn}, child)
        self.arn, self.hidden = second.arn, first.token
        self.register_outputs({"arn": self.arn, "hidden": self.hidden})


class _Thing(pulumi.CustomResource):
    arn: pulumi.Output[str]
    token: pulumi.Output[str]

    def __init__(self, name: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__("kit:index:Thing", name, props, opts)


class _Servicer(ProviderServicer):
    async def Attach(self, request: Any, context: Any) -> Any:
        self._engine_address = request.address
        return empty_pb2.Empty()

    async def Handshake(self, request: Any, context: Any) -> Any:
        self._engine_address = request.engine_address
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True)


async def serve(provider: ComponentProvider) -> None:
    """Serve a component provider until standard input ends; print its port."""
    server = grpc.aio.server()
    servicer = _Servicer(provider, [], engine_address="")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(grace=0)


if __name__ == "__main__":
    asyncio.run(serve(ComponentProvider([Pair], "box")))
