"""Loopback addresses of servers: one for each, so that all can listen on the same port."""

from __future__ import annotations

import errno
import hashlib
import socket

from sandbox.databases.errors import ServerError

_ATTEMPTS = 64


def choose_address(previous: str, key: str, port: int) -> str:
    """Return an address in 127.80.0.0/16 where the port is free, the previous one if possible.

    The key, such as a directory, decides where the search starts. Raises ServerError.
    """
    start = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
    candidates = (
        f"127.80.{number // 254 % 256}.{number % 254 + 1}"
        for number in range(start, start + _ATTEMPTS)
    )
    for address in (previous, *candidates) if previous else candidates:
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ServerError(
                    "failed",
                    f"this system has no loopback address {address}; add it: "
                    f"sudo ifconfig lo0 alias {address}",
                ) from None
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise ServerError(
                    "failed", f"this user may not listen on port {port}; set a port above 1023"
                ) from None
        else:
            return address
    raise ServerError(
        "failed",
        f"another process uses port {port} on all addresses; end it or set another port",
    )
