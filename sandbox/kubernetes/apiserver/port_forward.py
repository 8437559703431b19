"""Forwards connections of `kubectl port-forward` to a pod's ports.

For each connection, the client opens an error and a data stream with the same request ID. Source:
k8s.io/kubelet/pkg/cri/streaming/portforward.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from sandbox.kubernetes.apiserver.spdy import SpdyConnection, Stream, Transport

PROTOCOL = "portforward.k8s.io"
# kubectl since 1.31 sends SPDY in WebSocket messages.
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
_CHUNK = 32 * 1024
_CONNECT_SECONDS = 10

# Connects to a port of the pod. Raises OSError.
Connect = Callable[[int], socket.socket]


def connect_to(address: str) -> Connect:
    """Return a function that connects to a port of an address."""
    return lambda port: socket.create_connection((address, port), _CONNECT_SECONDS)


def serve(transport: Transport, connect: Connect) -> None:
    """Forward until the client ends the connection."""
    errors: dict[str, Stream] = {}

    def opened(stream: Stream) -> None:
        request = stream.headers.get("requestid", "")
        if stream.headers.get("streamtype") == "error":
            errors[request] = stream
        elif request in errors:
            target = (stream, errors.pop(request), connect)
            threading.Thread(target=_forward, args=target, daemon=True).start()
        else:
            stream.reset()

    with contextlib.suppress(OSError):
        SpdyConnection(transport).run(opened)


def _forward(data: Stream, error: Stream, connect: Connect) -> None:
    port = data.headers.get("port", "")
    try:
        connection = connect(int(port))
    except (OSError, ValueError) as problem:
        with contextlib.suppress(OSError):
            error.write(f"failed to connect to port {port} of the pod: {problem}".encode())
        error.close()
        data.close()
        return
    connection.settimeout(None)
    with connection:
        sender = threading.Thread(target=_send, args=(data, connection), daemon=True)
        sender.start()
        with contextlib.suppress(OSError):
            while content := connection.recv(_CHUNK):
                data.write(content)
        data.close()
        error.close()
        sender.join()


def _send(data: Stream, connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := data.read():
            connection.sendall(content)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
