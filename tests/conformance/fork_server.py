"""Runs programs in children of a process that has imported the SDK: saves its import in each run.

Both engines start programs through `fork_client.py`; the child executes their `run_program.py`.
"""

from __future__ import annotations

import os
import runpy
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLIENT = Path(__file__).with_name("fork_client.py")


@contextmanager
def fork_server(folder: Path) -> Iterator[Path]:
    """Start the server; yield a virtual environment whose interpreter uses it."""
    address = folder / "programs.sock"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.fork_server", str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    python = folder / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Engines pass `-u RUN_PROGRAM ARGUMENTS…`.
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -u ] || exec {sys.executable} "$@"\n'
        f'exec {sys.executable} -S -E {_CLIENT} {address} "$@"\n'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    try:
        yield python.parent.parent
    finally:
        server.stdin.close()
        server.wait(timeout=60)


def _receive(connection: socket.socket) -> tuple[list[str], list[int]]:
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    size, message = int.from_bytes(head, "big"), b""
    while len(message) < size:
        message += connection.recv(size - len(message))
    return message.decode(errors="surrogateescape").split("\0"), list(files)


def _run(connection: socket.socket) -> None:
    """Run one program; never return."""
    words, files = _receive(connection)
    directory, *arguments = words[: words.index("")]
    os.environ.clear()
    for item in words[words.index("") + 1 :]:
        key, _, value = item.partition("=")
        os.environ[key] = value
    os.chdir(directory)
    os.setsid()
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    position = next(i for i, item in enumerate(arguments) if item.startswith("--lifeline="))
    arguments[position] = f"--lifeline={files[2]}"
    host = arguments[1]  # after -u
    sys.argv = arguments[1:]
    sys.path.insert(0, str(Path(host).parent))

    def end_with_client() -> None:
        connection.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_client, daemon=True).start()
    code: object = 1
    try:
        runpy.run_path(host, run_name="__main__")
    except SystemExit as ending:
        code = ending.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        number = code if isinstance(code, int) else 0 if code is None else 1
        connection.sendall(bytes([number]))
        os._exit(number)


def main() -> None:
    """Serve until standard input closes."""
    import pulumi.runtime  # noqa: F401 - only this process needs it early

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(sys.argv[1])
        listener.listen(64)
        server = os.getpid()

        def end() -> None:
            sys.stdin.read()
            os.kill(server, 9)

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Thread(target=end, daemon=True).start()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection)
            connection.close()
            while _reap():
                pass


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


if __name__ == "__main__":
    main()
