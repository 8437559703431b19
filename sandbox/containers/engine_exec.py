"""Runs a command in a container and connects it to this process's standard streams.

    python -I -S engine_exec.py SOCKET CONTAINER pipes|tty COMMAND…

It does what `docker exec` does, for machines with an engine's socket only. It exits with the
command's code; 126 if the command cannot be started. Standard library only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import threading
import time
from typing import IO, Any

_CHUNK = 32 * 1024
_CODE_SECONDS = 5.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def main() -> int:
    """Run the command and return its exit code."""
    path, container, mode, *command = sys.argv[1:]
    tty = mode == "tty"
    streams = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": tty}
    status, created = _request(
        path, "POST", f"/containers/{container}/exec", {**streams, "Cmd": command}
    )
    if status != 201:
        return _refused(created)
    execution = created["Id"]
    connection = _Connection(path)
    connection.request(
        "POST",
        f"/exec/{execution}/start",
        json.dumps({"Detach": False, "Tty": tty}),
        {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"},
    )
    stream = connection.sock
    reader = stream.makefile("rb")
    code = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        length = int(value) if name.lower() == "content-length" else length
    if code not in {101, 200}:
        return _refused(json.loads(reader.read(length) or b"{}"))
    threading.Thread(target=_send, args=(stream, tty), daemon=True).start()
    if tty:
        while data := reader.read1(_CHUNK):
            _write(sys.stdout.buffer, data)
    else:
        while len(header := reader.read(8)) == 8:
            data = reader.read(int.from_bytes(header[4:], "big"))
            _write(sys.stderr.buffer if header[0] == 2 else sys.stdout.buffer, data)
    deadline = time.monotonic() + _CODE_SECONDS
    while time.monotonic() < deadline:
        _, details = _request(path, "GET", f"/exec/{execution}/json")
        if not details.get("Running") and details.get("ExitCode") is not None:
            return int(details["ExitCode"])
        time.sleep(0.02)
    return 255


def _send(stream: socket.socket, tty: bool) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK):
            stream.sendall(data)
        if tty:
            stream.sendall(b"\x04")  # the terminal's end of input; a shutdown would hang up
        else:
            stream.shutdown(socket.SHUT_WR)


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()


def _refused(content: dict[str, Any]) -> int:
    sys.stderr.write(f"{content.get('message', 'the engine refused the command')}\n")
    return 126


def _request(path: str, method: str, url: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    connection = _Connection(path)
    text = None if body is None else json.dumps(body)
    connection.request(method, url, text, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content: dict[str, Any] = json.loads(response.read() or b"{}")
    connection.close()
    return response.status, content


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread may wait for input
