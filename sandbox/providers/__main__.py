"""Runs providers by name: `python -m sandbox.providers aws kubernetes docker`.

Prints one JSON line with the ports once all serve (`{"aws": 40001, …}`), then runs until SIGTERM,
SIGINT or the end of standard input. AWS_ENDPOINT_URL and boto3's other variables locate the
account.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from sandbox.providers.protocol import Provider
from sandbox.providers.server import serve

FACTORIES: Mapping[str, str] = {
    "aws": "sandbox.providers.aws:provider",
    "docker": "sandbox.providers.docker:provider",
    "eks": "sandbox.providers.eks:provider",
    "kubernetes": "sandbox.providers.kubernetes.provider:provider",
}
"""Module and function that return each provider."""


def load(name: str) -> Provider:
    """Return the provider of that name."""
    module, function = FACTORIES[name].split(":")
    provider: Provider = getattr(importlib.import_module(module), function)()
    return provider


async def run(names: Sequence[str]) -> None:
    """Serve until stopped."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ports, servers = await serve({name: load(name) for name in names})
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()

    def wait_for_end_of_input() -> None:
        with contextlib.suppress(OSError, ValueError):
            # Not through sys.stdin: this thread would hold its lock when the interpreter closes it.
            while os.read(sys.stdin.fileno(), 4096):
                continue
        with contextlib.suppress(RuntimeError):  # the loop may have ended first
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    await stop.wait()
    await asyncio.gather(*(server.stop(grace=2) for server in servers))


def main() -> None:
    """Parse the names and serve the providers."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.providers", description=__doc__)
    parser.add_argument(
        "names", nargs="+", choices=sorted(FACTORIES), help="providers to serve from this process"
    )
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(run(parser.parse_args().names))


if __name__ == "__main__":
    main()
