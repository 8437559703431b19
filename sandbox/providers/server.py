"""Serves providers (see `protocol`) over gRPC on loopback, for PULUMI_DEBUG_PROVIDERS.

Extends the SDK's `ProviderServicer` (Construct, Call, Parameterize) by Attach, Handshake and
DiffConfig; configuration per connection; blocking calls in threads; unknown values; and failures as
a gRPC status with one paragraph instead of a traceback. Over 400 lines: one class with a method for
each request of the protocol.
"""

# ruff: noqa: N802, ARG002 - names and arguments of gRPC service methods
from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import grpc
import grpc.aio
from google.protobuf import any_pb2, empty_pb2
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from sandbox.providers.orphan_cleanup import Creation, undo
from sandbox.providers.property_values import Path, Properties, decode, encode, is_known
from sandbox.providers.protocol import (
    Checked,
    Connection,
    Created,
    Difference,
    Failure,
    Invoked,
    PartialFailure,
    Provider,
    Resource,
    Severity,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)
_CALLS_AT_ONCE = 64  # engines run at most 4 x CPUs steps by default, which mostly wait
_PEERS_REMEMBERED = 512  # disconnections are invisible, so the longest silent peer is dropped
_SEVERITY: Mapping[Severity, Any] = {
    "debug": engine_pb2.DEBUG,
    "status": engine_pb2.INFO,
    "info": engine_pb2.INFO,
    "warning": engine_pb2.WARNING,
    "error": engine_pb2.ERROR,
}


class _NotYetKnown(Connection):
    """A provider whose configuration is unknown in a preview; it returns its inputs."""

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        return Checked(new)

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        return Difference()

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        if not preview:
            raise Failure(
                f"{resource.type} cannot be created: its provider's configuration has unknown "
                "values."
            )
        return Created("", inputs)


@dataclass
class _Peer:
    """The state of one connection."""

    connection: Connection | None = None
    engine: str = ""
    program_directory: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)


class _InProgress:
    """One lock per resource: a call waits for one that a killed engine left running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def after_others(self, urn: str, action: Callable[[], T]) -> Callable[[], T]:
        """Return the action, to run when no other one of the resource runs."""

        def run() -> T:
            with self._lock:
                lock = self._locks.setdefault(urn, threading.RLock())
            with lock:
                return action()

        return run


class Servicer(ProviderServicer):
    """The ResourceProvider service of one provider, for any number of connections."""

    def __init__(self, provider: Provider, threads: ThreadPoolExecutor) -> None:
        super().__init__([], provider.version, provider, "")
        self._of = provider
        self._threads = threads
        self._peers: OrderedDict[str, _Peer] = OrderedDict()
        self._engines: dict[str, engine_pb2_grpc.EngineStub] = {}
        self._in_progress = _InProgress()

    # Connection lifecycle

    async def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        """Return the supported features; unlike Configure's, they apply to CheckConfig too."""
        self._greet(request.engine_address, context)
        self._peer(context).program_directory = request.program_directory
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True
        )

    async def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Record the attached engine, whose Log service receives messages."""
        self._greet(request.address, context)
        return empty_pb2.Empty()

    async def Construct(self, request: Any, context: Any) -> provider_pb2.ConstructResponse:
        """Refuse components by name; providers with components have their own servicer."""
        await self._run(context, lambda: self._of.refuse_component(request.type))
        raise AssertionError("refuse_component always raises")

    async def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Cancel all waiting of this connection."""
        peer = self._peer(context)
        peer.cancelled.set()
        if peer.connection:
            peer.connection.cancel()
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """Return the version of the SDK."""
        return plugin_pb2.PluginInfo(version=self._of.version)

    async def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Validate a configuration."""
        old, new = decode(request.olds), decode(request.news)
        checked = await self._run(
            context, lambda: self._of.check_configuration(old.values, new.values)
        )
        return _check_response(checked, new.secrets)

    async def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Compare two configurations."""
        old = decode(request.old_inputs if request.HasField("old_inputs") else request.olds)
        new = decode(request.news)
        ignored = set(request.ignoreChanges)
        difference = await self._run(
            context, lambda: self._of.diff_configuration(old.values, new.values)
        )
        return _diff_response(difference, ignored)

    async def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        """Configure this connection."""
        values = decode(request.args).values
        for (
            key,
            text,
        ) in request.variables.items():  # `aws:config:region`; the only form that old engines send
            values.setdefault(key.rsplit(":", 1)[-1], text)
        config = {key: _decoded(value) for key, value in values.items()}
        is_configured = is_known(config)
        connection = await self._run(
            context,
            lambda: (
                self._of.connect(config)
                if is_configured or self._of.checks_offline
                else _NotYetKnown()
            ),
        )
        peer = self._peer(context)
        connection.program_directory = peer.program_directory
        peer.connection = connection
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    # Resources and functions

    async def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Set defaults; report problems."""
        old, new, connection = decode(request.olds), decode(request.news), self._connection(context)
        resource = self._resource(request, context)
        checked = await self._run(
            context,
            lambda: connection().check(resource, old.values, new.values, request.randomSeed),
        )
        return _check_response(checked, new.secrets)

    async def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Compare inputs, except properties with ignored changes."""
        state, old, new = decode(request.olds), decode(request.old_inputs), decode(request.news)
        old_inputs = old.values if request.HasField("old_inputs") else state.values
        resource, connection = self._resource(request, context), self._connection(context)
        difference = await self._run(
            context,
            lambda: connection().diff(resource, request.id, old_inputs, state.values, new.values),
        )
        return _diff_response(difference, set(request.ignoreChanges))

    async def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        """Create a resource."""
        inputs, connection = decode(request.properties), self._connection(context)
        resource = self._resource(request, context)
        making = Creation(
            "" if request.preview else request.urn,
            lambda: connection().create(resource, inputs.values, request.preview),
        )
        try:
            created = await self._run(
                context, self._in_progress.after_others(request.urn, making), inputs.secrets
            )
        except asyncio.CancelledError:
            # A killed engine never learns of the new resource and would not delete it.
            making.when_created(
                self._threads,
                lambda id, state: self._in_progress.after_others(
                    request.urn, lambda: undo(connection(), resource, id, inputs.values, state)
                )(),
            )
            raise
        secrets = inputs.secrets | set(created.secrets)
        return provider_pb2.CreateResponse(id=created.id, properties=encode(created.state, secrets))

    async def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        """Read a resource; an empty ID means that it does not exist."""
        state, inputs, connection = (
            decode(request.properties),
            decode(request.inputs),
            self._connection(context),
        )
        resource = self._resource(request, context)
        secrets = state.secrets | inputs.secrets
        live = await self._run(
            context,
            self._in_progress.after_others(
                request.urn,
                lambda: connection().read(resource, request.id, inputs.values, state.values),
            ),
            secrets,
        )
        if live is None:
            return provider_pb2.ReadResponse()
        secrets |= set(live.secrets)
        return provider_pb2.ReadResponse(
            id=live.id,
            properties=encode(live.state, secrets),
            inputs=encode(live.inputs, secrets),
        )

    async def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        """Update a resource in place."""
        state, old, new = decode(request.olds), decode(request.old_inputs), decode(request.news)
        old_inputs = old.values if request.HasField("old_inputs") else state.values
        resource, connection = self._resource(request, context), self._connection(context)
        updated = await self._run(
            context,
            self._in_progress.after_others(
                request.urn,
                lambda: connection().update(
                    resource, request.id, old_inputs, state.values, new.values, request.preview
                ),
            ),
            new.secrets,
        )
        return provider_pb2.UpdateResponse(
            properties=encode(updated.state, new.secrets | set(updated.secrets))
        )

    async def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Delete a resource."""
        state, old = decode(request.properties), decode(request.old_inputs)
        resource, connection = self._resource(request, context), self._connection(context)
        await self._run(
            context,
            self._in_progress.after_others(
                request.urn,
                lambda: connection().delete(resource, request.id, old.values, state.values),
            ),
        )
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        """Run a function."""
        args, connection = decode(request.args), self._connection(context)
        invoked: Invoked = await self._run(
            context, lambda: connection().invoke(request.tok, args.values, request.preview)
        )
        result = encode(invoked.result, invoked.secrets)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in invoked.failures
        ]
        return provider_pb2.InvokeResponse(**{"return": result, "failures": failures})

    # Implementation

    def _peer(self, context: Any) -> _Peer:
        name = context.peer()
        peer = self._peers.setdefault(name, _Peer())
        self._peers.move_to_end(name)
        if len(self._peers) > _PEERS_REMEMBERED:
            self._peers.popitem(last=False)
        return peer

    def _greet(self, engine: str, context: Any) -> None:
        self._peer(context).engine = engine
        self._engine_address = engine  # the SDK's Construct logs there

    def _connection(self, context: Any) -> Callable[[], Connection]:
        peer = self._peer(context)

        def configured() -> Connection:
            if peer.connection is None:
                raise Failure(f"the provider {self._of.name} was called before it was configured.")
            return peer.connection

        return configured

    def _resource(self, request: Any, context: Any) -> Resource:
        peer, urn = self._peer(context), request.urn
        kind, name = urn.split("::")[2].split("$")[-1], urn.split("::", 3)[-1]
        loop = asyncio.get_running_loop()

        def log(severity: Severity, text: str) -> None:
            asyncio.run_coroutine_threadsafe(self._tell(peer.engine, severity, text, urn), loop)

        timeout = getattr(request, "timeout", 0.0)
        ignored = tuple(getattr(request, "ignoreChanges", ()))
        return Resource(
            request.urn,
            request.type or kind,
            request.name or name,
            timeout,
            log,
            peer.cancelled,
            ignored,
        )

    async def _tell(self, engine: str, severity: Severity, text: str, urn: str) -> None:
        if not engine:
            _log.warning("%s: %s", urn, text)
            return
        if engine not in self._engines:
            channel = grpc.aio.insecure_channel(engine, options=_GRPC_CHANNEL_OPTIONS)
            self._engines = {
                engine: engine_pb2_grpc.EngineStub(channel)
            }  # an engine's address is valid for one run
        line = engine_pb2.LogRequest(
            severity=_SEVERITY[severity], message=text, urn=urn, ephemeral=severity == "status"
        )
        try:
            await self._engines[engine].Log(line, timeout=5)
        except grpc.aio.AioRpcError:
            _log.warning("%s: %s (the engine at %s no longer listens)", urn, text, engine)

    async def _run(self, context: Any, action: Callable[[], T], secrets: Iterable[Path] = ()) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, action)
        except PartialFailure as failure:
            await _abort_partial(context, failure, secrets)
        except Failure as failure:
            # This code means that nothing is half done; UNKNOWN would leave a pending operation.
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(failure))
        except NotImplementedError as missing:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"{self._of.name}: {missing or 'not implemented'}"
            )
        except Exception as defect:  # noqa: BLE001 -- the last frame before the wire
            _log.exception("bug in provider %s", self._of.name)
            summary = (
                f"bug in the sandbox's provider {self._of.name}: {type(defect).__name__}: {defect}"
            )
            await context.abort(grpc.StatusCode.INTERNAL, f"{summary} (its log has the traceback)")
        raise AssertionError("abort always raises")


def _decoded(value: Any) -> Any:
    """Decode lists, maps, numbers and booleans, which SDKs send as JSON text."""
    if not isinstance(value, str) or value[:1] not in ("{", "[", "t", "f", '"', *"0123456789"):
        return value
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, (dict, list, bool)) else value


def _check_response(checked: Checked, secrets: Iterable[Path]) -> provider_pb2.CheckResponse:
    failures = [
        provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in checked.failures
    ]
    return provider_pb2.CheckResponse(inputs=encode(checked.inputs, secrets), failures=failures)


def _diff_response(difference: Difference, ignored: set[str]) -> provider_pb2.DiffResponse:
    changes = {
        path: change
        for path, change in difference.changes.items()
        if not _is_ignored(path, ignored)
    }
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME
        if changes
        else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted({_top(path) for path in changes}),
        replaces=sorted({_top(path) for path, change in changes.items() if change.replaces}),
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=change.value, inputDiff=True)
            for path, change in changes.items()
        },
        hasDetailedDiff=True,
        deleteBeforeReplace=difference.delete_before_replace,
        stables=list(difference.stables),
    )


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]


def _is_ignored(path: str, ignored: set[str]) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in ignored)


async def _abort_partial(context: Any, failure: PartialFailure, secrets: Iterable[Path]) -> None:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=failure.id, properties=encode(failure.state, secrets), reasons=[str(failure)]
    )
    if failure.inputs is not None:
        detail.inputs.CopyFrom(encode(failure.inputs, secrets))
    packed = any_pb2.Any()
    packed.Pack(detail)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=str(failure), details=[packed])
    await context.abort(
        code, str(failure), (("grpc-status-details-bin", status.SerializeToString()),)
    )


async def serve(providers: Mapping[str, Provider]) -> tuple[dict[str, int], list[grpc.aio.Server]]:
    """Serve each provider on a loopback port; return the ports by name, and the servers."""
    threads = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="provider")
    ports: dict[str, int] = {}
    servers: list[grpc.aio.Server] = []
    for name, provider in providers.items():
        server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
        servicer = getattr(provider, "servicer", Servicer)  # a provider of components has its own
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            servicer(provider, threads), server
        )
        ports[name] = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
    return ports, servers
