"""Connections that were upgraded from HTTP: SPDY itself, or its bytes in WebSocket messages."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_CHUNK = 64 * 1024


class SocketTransport:
    """The connection itself."""

    def __init__(self, connection: socket.socket) -> None:
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

    def __init__(self, connection: socket.socket) -> None:
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
    connection: socket.socket, websocket: WSConnection, request: bytes, protocols: Sequence[str]
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
