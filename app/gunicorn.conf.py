"""gunicorn's settings. Start the service with `python3 -m app` (or `python3 -m gunicorn -c app/gunicorn.conf.py`, which takes longer).

The kind of worker and their number were chosen by measurement: docs/decisions/a-worker-of-our-own.md.
"""
# ruff: noqa: N999 -- the name that gunicorn's users look for

import gc
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.config import ConfigurationError, load
from app.logs import logging_config

try:
    _config = load(os.environ)
except ConfigurationError as error:
    sys.exit(str(error))

# The root file system may be read-only; these are memory, and vanish with the container.
_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- a folder of our own is made in it
# prometheus_client adds up the workers' numbers in files. It looks at this when it is first imported.
_metrics = tempfile.mkdtemp(prefix="app-metrics-", dir=_memory)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics

wsgi_app = "app.wsgi:application"
bind = f"{_config.bind}:{_config.port}"
proc_name = "app"
workers = _config.workers
worker_class = "app.worker.Worker"
threads = _config.threads
preload_app = True  # imported once, then forked: a quicker start and shared memory
worker_tmp_dir = _memory
control_socket_disable = True

keepalive = _config.keepalive_seconds
timeout = 30
graceful_timeout = math.ceil(_config.drain_seconds) + 25  # a drain, then what has begun; Kubernetes must wait longer
worker_connections = 1000
backlog = 1024

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# Forwarding headers are the application's matter (APP_TRUSTED_PROXIES); gunicorn believes nobody.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

accesslog = None  # the application writes a line for each request
logconfig_dict = logging_config(_config.log_level)


def when_ready(server: Any) -> None:  # noqa: ARG001 -- gunicorn's signature
    """Before the first worker is forked."""
    from app.stopping import keep_signals_while_forking  # noqa: PLC0415 -- gunicorn's workers import it anyway, here later

    keep_signals_while_forking()


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001 -- gunicorn's signature
    """Collect garbage from here on, but leave the pages that all workers share untouched."""
    gc.freeze()
    gc.enable()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 -- gunicorn's signature
    """Forget the live gauges of a worker that is gone; its counters stay counted."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 -- after the folder is set

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped


def on_exit(server: Any) -> None:  # noqa: ARG001 -- gunicorn's signature
    """Leave nothing behind."""
    shutil.rmtree(Path(_metrics), ignore_errors=True)
