"""Connects a process to a client, over a WebSocket or SPDY, with Kubernetes's channel protocols.

Channels: 0 standard input, 1 output, 2 errors, 3 the final Status, 4 terminal size, 255 (v5) closes
a channel. With SPDY, each is a stream. Source: k8s.io/apimachinery/pkg/util/remotecommand.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Mapping
from typing import IO, Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sandbox.kubernetes.apiserver.messages import ExecSession, RemoteProcess
from sandbox.kubernetes.apiserver.spdy import SpdyConnection, Stream, Transport
from sandbox.kubernetes.apiserver.transports import SharedConnection, handshake

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
SPDY_PROTOCOL = "v4.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 32 * 1024


def serve(connection: SharedConnection, request: bytes, session: ExecSession) -> None:
    """Run the session over a WebSocket on a connection whose request head has been read."""
    _ExecStream(connection, session).run(request)


def serve_spdy(transport: Transport, session: ExecSession) -> None:
    """Run the session over SPDY, as kubectl before 1.30 requires."""
    process, streams = session.process, dict[str, Stream]()
    required = session.streams | {"error"}

    def opened(stream: Stream) -> None:
        streams[stream.headers.get("streamtype", "")] = stream
        if streams.keys() == required:
            threading.Thread(target=_run_spdy, args=(session, streams), daemon=True).start()

    with contextlib.suppress(OSError):
        SpdyConnection(transport).run(opened)
    process.kill()


def _run_spdy(session: ExecSession, streams: Mapping[str, Stream]) -> None:
    process = session.process
    if "stdin" in streams:
        threading.Thread(target=_copy_input, args=(streams["stdin"], process), daemon=True).start()
    elif process.stdin is not None:
        process.stdin.close()
    copies = [
        threading.Thread(target=_copy_output, args=(source, streams.get(name)), daemon=True)
        for name, source in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    with contextlib.suppress(OSError):
        streams["error"].write(json.dumps(_status(process.wait())).encode())
    for stream in streams.values():
        stream.close()


def _copy_input(stream: Stream, process: RemoteProcess) -> None:
    with contextlib.suppress(OSError, ValueError):
        while (data := stream.read()) and process.stdin is not None:
            process.stdin.write(data)
            process.stdin.flush()
        if process.stdin is not None:
            process.stdin.close()


def _copy_output(source: IO[bytes] | None, stream: Stream | None) -> None:
    with contextlib.suppress(OSError):
        while source is not None and (data := _read(source)):
            if stream is not None:
                stream.write(data)


class _ExecStream:
    def __init__(self, connection: SharedConnection, session: ExecSession) -> None:
        self._connection, self._process = connection, session.process
        self._stdin = session.process.stdin if session.stdin else None
        self._websocket = WSConnection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self._message = b""

    def run(self, request: bytes) -> None:
        if handshake(self._connection, self._websocket, request, _PROTOCOLS) is None:
            self._process.kill()
            return
        if self._stdin is None and self._process.stdin is not None:
            self._process.stdin.close()
        threading.Thread(target=self._receive, daemon=True).start()
        copies = [
            threading.Thread(target=self._copy, args=(stream, channel), daemon=True)
            for stream, channel in (
                (self._process.stdout, _STDOUT),
                (self._process.stderr, _STDERR),
            )
        ]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        code = self._process.wait()
        with contextlib.suppress(OSError, LocalProtocolError):
            self._send(BytesMessage(bytes([_STATUS]) + json.dumps(_status(code)).encode()))
            self._send(CloseConnection(code=1000))

    def _copy(self, stream: IO[bytes] | None, channel: int) -> None:
        while stream is not None and (data := _read(stream)):
            try:
                self._send(BytesMessage(bytes([channel]) + data))
            except (OSError, LocalProtocolError):
                self._process.kill()
                return

    def _receive(self) -> None:
        """Pass input to the process until the client closes."""
        with contextlib.suppress(OSError, RemoteProtocolError, ValueError):
            while data := self._connection.recv(_CHUNK):
                self._websocket.receive_data(data)
                if not self._handle(self._websocket.events()):
                    return
        self._process.kill()

    def _handle(self, events: Iterable[Event]) -> bool:
        for event in events:
            if isinstance(event, Ping):
                self._send(event.response())
            elif isinstance(event, CloseConnection):
                return False
            elif isinstance(event, (BytesMessage, TextMessage)):
                data = event.data
                # A message may arrive in parts; only the first one names the channel.
                self._message += data.encode() if isinstance(data, str) else bytes(data)
                if event.message_finished:
                    message, self._message = self._message, b""
                    self._input(message)
        return True

    def _input(self, data: bytes) -> None:
        if self._stdin is None or not data:
            return
        if data[0] == _STDIN:
            with contextlib.suppress(BrokenPipeError):
                self._stdin.write(data[1:])
                self._stdin.flush()
        elif data[0] == _CLOSE and data[1:2] == bytes([_STDIN]):
            self._stdin.close()

    def _send(self, event: Event) -> None:
        with self._lock:
            self._connection.sendall(self._websocket.send(event))


def _read(stream: IO[bytes]) -> bytes:
    data: bytes = stream.read1(_CHUNK)  # type: ignore[attr-defined] # a buffered pipe
    return data


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = code if code > 0 else 128 - code
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
