"""A TCP load balancer: accepts connections and forwards each to a ready target, in turn.

It runs detached from the sandbox's background process, so that connections survive its restart.

    python -I -S tcp_balancer.py CONFIG

CONFIG is a JSON file with `listeners`: `address`, `port` and `targets` ([address, port]). SIGHUP
loads it again: connections of a removed target continue, as in a Network Load Balancer. SIGTERM
closes the listeners and waits for the connections. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

_CONNECT_SECONDS = 3.0
_DRAIN_SECONDS = 20.0
_CHUNK = 64 * 1024

Target = tuple[str, int]


class _Listener:
    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.turns: Iterator[int] = itertools.count()
        self.server: asyncio.Server | None = None

    def in_turn(self) -> list[Target]:
        if not self.targets:
            return []
        first = next(self.turns) % len(self.targets)
        return self.targets[first:] + self.targets[:first]


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
        wanted = {(entry["address"], entry["port"]): entry["targets"] for entry in entries}
        for place in set(self._listeners) - set(wanted):
            listener = self._listeners.pop(place)
            if listener.server is not None:
                listener.server.close()
        failures = []
        for place, targets in wanted.items():
            listener = self._listeners.get(place) or _Listener()
            listener.targets = [(address, port) for address, port in targets]
            if listener.server is None:
                try:
                    await self._listen(place, listener)
                except OSError as error:
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
            accept, *place, backlog=1024, limit=_CHUNK, reuse_address=True
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
    try:
        for address, port in listener.in_turn():
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    to_reader, to_writer = await asyncio.open_connection(
                        address, port, limit=_CHUNK
                    )
            except (OSError, TimeoutError):
                continue
            for stream in (writer, to_writer):
                stream.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
                )
            await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
            return
    finally:
        with contextlib.suppress(OSError):
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


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


if __name__ == "__main__":
    asyncio.run(_main())
