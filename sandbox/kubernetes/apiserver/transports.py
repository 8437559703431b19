"""Connections that were upgraded from HTTP: SPDY itself, or its bytes in WebSocket messages."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Sequence

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_CHUNK = 64 * 1024


class SharedConnection:
    """A TLS connection that one thread reads while others write.

    OpenSSL permits one call at a time for a connection, and Python before 3.13 leaves that to its
    callers; so a thread waits outside the lock until the connection has or takes data.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._calls, self._sending = threading.Lock(), threading.Lock()

    def recv(self, size: int) -> bytes:
        """Return the next bytes; none at the end. Raises OSError."""
        while True:
            with self._calls:
                try:
                    return self._connection.recv(size)
                except (ssl.SSLWantReadError, BlockingIOError):
                    pass
                except ssl.SSLEOFError:
                    return b""
            self._wait(select.POLLIN)

    def sendall(self, data: bytes) -> None:
        """Send all bytes, without bytes of other threads between them. Raises OSError."""
        rest = memoryview(data)
        with self._sending:
            while rest:
                with self._calls, contextlib.suppress(ssl.SSLWantWriteError, BlockingIOError):
                    rest = rest[self._connection.send(rest) :]
                    continue
                self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._connection, event)
        poll.poll()


class SocketTransport:
    """The connection itself."""

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection

    def receive(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            return self._connection.recv(_CHUNK)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(data)


class WebSocketTransport:
    """Bytes in WebSocket messages, as kubectl tunnels SPDY since 1.31."""

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection
        self._websocket = WSConnection(ConnectionType.SERVER)

    def accept(self, request: bytes, protocols: Sequence[str]) -> str | None:
        """Answer the client's handshake; return the chosen protocol, or None."""
        return handshake(self._connection, self._websocket, request, protocols)

    def receive(self) -> bytes:
        """Return the next bytes; none at the end."""
        with contextlib.suppress(OSError, RemoteProtocolError):
            while data := self._connection.recv(_CHUNK):
                self._websocket.receive_data(data)
                content = b""
                for event in self._websocket.events():
                    if isinstance(event, BytesMessage):
                        content += bytes(event.data)
                    elif isinstance(event, Ping):
                        self._send(event.response())
                    elif isinstance(event, CloseConnection):
                        return content
                if content:
                    return content
        return b""

    def send(self, data: bytes) -> None:
        """Send bytes as one message. Raises OSError."""
        self._send(BytesMessage(data))

    def close(self) -> None:
        """End the WebSocket."""
        with contextlib.suppress(OSError):
            self._send(CloseConnection(code=1000))

    def _send(self, event: Event) -> None:
        try:
            self._connection.sendall(self._websocket.send(event))
        except LocalProtocolError as error:
            raise BrokenPipeError(str(error)) from None


def handshake(
    connection: SharedConnection, websocket: WSConnection, request: bytes, protocols: Sequence[str]
) -> str | None:
    """Accept a WebSocket; return the first of `protocols` that the client offers, or None."""
    websocket.receive_data(request)
    for event in websocket.events():
        if isinstance(event, Request):
            offered = list(event.subprotocols)
            protocol = next((item for item in protocols if item in offered), None)
            connection.sendall(websocket.send(AcceptConnection(subprotocol=protocol)))
            return protocol
    return None
