"""Starts the service: `python3 -m app`. See docs/decisions/0010-serve-with-granian.md."""

import os
import sys
import tempfile

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from app.config import ConfigurationError, load
from app.logs import logging_config

MAX_HEADER_BYTES = 16 * 1024
HEADER_TIMEOUT_MILLISECONDS = 10_000
KILL_AFTER_SECONDS = 25
"""After SIGTERM, requests get this time; below the pod's termination grace period."""


def main() -> None:
    """Serve until SIGTERM; running requests are completed first."""
    try:
        config = load()
    except ConfigurationError as error:
        sys.exit(str(error))
    # prometheus_client sums the workers' metrics in files of this directory. It is in memory where
    # possible, since the root filesystem may be read-only.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-", dir=memory)
    Granian(
        "app.factory:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=config.bind,
        port=config.port,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MILLISECONDS, max_buffer_size=MAX_HEADER_BYTES
        ),
        websockets=False,
        workers=config.workers,
        blocking_threads=config.threads,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_AFTER_SECONDS,
        log_dictconfig=logging_config(config.log_level),
    ).serve()


if __name__ == "__main__":
    main()
