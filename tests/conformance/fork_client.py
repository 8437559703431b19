"""Stands in for the program's interpreter: asks the fork server to run the program.

Passes arguments, environment, working directory and open files to a child of the server, which has
imported the SDK already. Uses only fast modules.
"""

import os
import socket
import sys


def main() -> int:
    """Run the program in the fork server; return its exit code."""
    arguments = sys.argv[2:]
    lifeline = next(
        int(item.partition("=")[2]) for item in arguments if item.startswith("--lifeline=")
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(sys.argv[1])
        words = [
            os.getcwd(),  # noqa: PTH109 - pathlib is slow to import
            *arguments,
            "",
            *(f"{key}={os.environ[key]}" for key in os.environ),
        ]
        message = "\0".join(words).encode(errors="surrogateescape")
        socket.send_fds(connection, [len(message).to_bytes(4, "big")], [1, 2, lifeline])
        connection.sendall(message)
        code = connection.recv(1)
    return code[0] if code else 1


if __name__ == "__main__":
    sys.exit(main())
