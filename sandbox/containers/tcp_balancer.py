"""The load balancers' process: accepts connections and forwards each to a ready target, in turn.

It runs detached from the sandbox's background process, so that connections survive its restart.
CONFIG, its argument, is a JSON file with `listeners`: `address`, `port` and `targets` ([address,
port]), optionally `certificate` (PEM file with the key), and `site` for the routes of requests.
SIGHUP loads it again: connections of a removed target continue, as in a Network Load Balancer.
SIGTERM closes the listeners and waits for the connections. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

from sandbox.containers import http_balancer
from sandbox.containers.http_balancer import LIMIT, Route, Site, Streams, Target, Targets

_DRAIN_SECONDS = 20.0
_FLUSH_SECONDS = 5.0


class _Listener:
    def __init__(self) -> None:
        self.targets = Targets()
        self.site: Site | None = None
        self.routes: dict[str, Targets] = {}
        self.server: asyncio.Server | None = None
        self.tls: ssl.SSLContext | None = None
        self.certificate = ""

    def configure(self, entry: dict[str, Any]) -> None:
        """Apply the targets and routes of an entry; routes keep the turns of their targets."""
        self.targets.targets = _targets(entry["targets"])
        site = entry.get("site")
        if site is None:
            self.site = None
            return
        routes = []
        for route in site["routes"]:
            key = json.dumps([route["host"], route["path"], route["exact"]])
            targets = self.routes.setdefault(key, Targets())
            targets.targets = _targets(route["targets"])
            routes.append(Route(route["host"], route["path"], route["exact"], targets))
        redirect = tuple(site["redirect"]) if site["redirect"] else None
        self.site = Site(
            port=site["port"],
            local_port=entry["port"],
            secure="certificate" in entry,
            routes=routes,
            redirect=redirect,
        )

    def load_certificate(self, path: str, *, http: bool) -> None:
        """Use a certificate for new connections."""
        if self.tls is None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if http:
                self.tls.set_alpn_protocols(["http/1.1"])
        if path != self.certificate:
            self.tls.load_cert_chain(path)
            self.certificate = path


def _targets(pairs: list[list[Any]]) -> list[Target]:
    return [(str(address), int(port)) for address, port in pairs]


class Balancer:
    """All listeners of one configuration file."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._listeners: dict[Target, _Listener] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self.stopped = asyncio.Event()
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Apply the configuration; report ports that cannot be bound in a file next to it."""
        async with self._loading:  # two signals must not bind the same port
            await self._load()

    async def _load(self) -> None:
        entries = json.loads(self._config.read_text())["listeners"]
        by_place = {(entry["address"], entry["port"]): entry for entry in entries}
        for place, listener in list(self._listeners.items()):
            entry = by_place.get(place)
            if entry is None or ("certificate" in entry) != (listener.tls is not None):
                del self._listeners[place]
                if listener.server is not None:
                    listener.server.close()
        failures = []
        for place, entry in by_place.items():
            listener = self._listeners.get(place) or _Listener()
            listener.configure(entry)
            try:
                if "certificate" in entry:
                    listener.load_certificate(entry["certificate"], http="site" in entry)
                if listener.server is None:
                    await self._listen(place, listener)
            except OSError as error:  # of which ssl.SSLError is one
                failures.append([*place, error.strerror or str(error)])
                continue
            self._listeners[place] = listener
        temporary = self._config.with_name("applied.new")
        temporary.write_text(json.dumps({"listeners": entries, "failures": failures}))
        temporary.replace(self._config.with_name("applied.json"))

    async def _listen(self, place: Target, listener: _Listener) -> None:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(_forward(listener, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        listener.server = await asyncio.start_server(
            accept, *place, backlog=1024, limit=LIMIT, reuse_address=True, ssl=listener.tls
        )

    async def drain(self) -> None:
        """Close the listeners and wait for the connections."""
        for listener in self._listeners.values():
            if listener.server is not None:
                listener.server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=_DRAIN_SECONDS)
        self.stopped.set()


async def _forward(
    listener: _Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if listener.site is not None:
            await http_balancer.serve(lambda: listener.site, reader, writer)
            await _flush(writer)
            return
        target = await http_balancer.connect(listener.targets.in_turn())
        if target is not None:
            await _exchange((reader, writer), target)
    finally:
        with contextlib.suppress(OSError):
            writer.transport.abort()


async def _exchange(client: Streams, target: Streams) -> None:
    (reader, writer), (to_reader, to_writer) = client, target
    to_writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        await asyncio.gather(
            http_balancer.copy(reader, to_writer), http_balancer.copy(to_reader, writer)
        )
    finally:
        to_writer.transport.abort()


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Close after everything was sent; a client that does not read is cut off."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_FLUSH_SECONDS):
            await writer.wait_closed()


async def _main() -> None:
    balancer = Balancer(Path(sys.argv[1]))
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def run(number: signal.Signals) -> None:
        work = balancer.load() if number == signal.SIGHUP else balancer.drain()
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGHUP, signal.SIGTERM):
        loop.add_signal_handler(number, run, number)
    await balancer.load()
    await balancer.stopped.wait()


def run() -> None:
    """Serve until SIGTERM."""
    asyncio.run(_main())
