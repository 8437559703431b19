"""The end of a process: for a while after SIGTERM, it asks clients to open new connections.

A client with a keep-alive connection may send a request at the moment the server closes it, and
then loses it. `Connection: close` in a response moves the client to another instance without a
loss.
"""

import os
import signal
from pathlib import Path
from typing import Any

from flask import Flask, Response
from granian.server import MPServer

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of the directory that the process shares with its workers; set by app.__main__."""


class DrainingServer(MPServer):
    """Serves for `drain_seconds` after SIGTERM; a second SIGTERM ends this time."""

    drain_seconds = 0.0

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Handle SIGTERM and SIGINT."""
        if self.drain_seconds <= 0 or _marker().exists():
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]
            return
        _marker().touch()
        signal.signal(signal.SIGALRM, super().signal_handler_interrupt)
        signal.setitimer(signal.ITIMER_REAL, self.drain_seconds)


def init_app(app: Flask) -> None:
    """Close the connection after each response while the process drains."""
    if _DIRECTORY not in os.environ:
        return
    marker = str(_marker())

    @app.after_request
    def close_connection(response: Response) -> Response:
        if os.path.exists(marker):  # noqa: PTH110 - runs in each request
            response.headers["Connection"] = "close"
        return response


def _marker() -> Path:
    return Path(os.environ[_DIRECTORY]) / "draining"
