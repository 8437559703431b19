"""Ports for servers that tests stop and restart."""

import random
import socket

_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a loopback port that stays free until its server binds it, also during a restart.

    Below those that the system gives to connections and to the sandbox, and claimed among all
    processes that run tests: by a name that only one socket can have, which the kernel forgets with
    the process.


    """
    for port in random.sample(range(10000, 20000), 200):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with socket.socket() as trial:
            try:
                claim.bind(f"\0tests-port-{port}")
                trial.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        return port
    raise AssertionError(
        "200 ports on loopback, chosen at random from 10000 to 19999, are all taken"
    )
