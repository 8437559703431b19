"""What one can see of the service from outside: request ids, a log line per request, Prometheus metrics."""

import logging
import re
import secrets
import sys
import threading
import time
from collections import deque
from typing import Any, Final

from flask import Flask, Response, g, request

from app.config import Config

_log = logging.getLogger("app.request")
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probes come every few seconds from every node: they are counted, and logged only when they fail.
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})

_ENOUGH: Final = 1000

# What has been counted while app.metrics isn't loaded: loading takes as long as a dozen answers, and the first answers
# after a start should not wait for it. A worker loads it within its first second (`Worker.run`), else the first reader.
_counted: deque[tuple[str, tuple[Any, ...], float]] = deque()
_loading = threading.Lock()


def count(name: str, labels: tuple[Any, ...] = (), value: float = 1) -> None:
    """Count in the metric of app.metrics with that name, now or when that is loaded."""
    _counted.append((name, labels, value))
    if "app.metrics" in sys.modules or len(_counted) >= _ENOUGH:
        settle_metrics()


def settle_metrics() -> None:
    """Load app.metrics if it isn't, and bring everything counted into it."""
    with _loading:
        from app import metrics  # noqa: PLC0415 -- see above

        while _counted:
            name, labels, value = _counted.popleft()
            metric = getattr(metrics, name)
            metric = metric.labels(*labels) if labels else metric
            if name == "SECONDS":
                metric.observe(value)
            elif name == "RELEASE":
                metric.set(value)
            else:
                metric.inc(value)


def request_id(given: str) -> str:
    """The id a client gave its request if it is sane, else a new one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def record(
    *, method: str, route: str, path: str, status: int, started: float, client: str | None, request: str
) -> None:
    """Count one answered request and log it. `started` is of time.perf_counter, `request` is its id."""
    seconds = time.perf_counter() - started
    count("SECONDS", (method if method in _METHODS else "other", route, status), seconds)
    if status >= 400 or route not in _QUIET:
        fields = {
            "request_id": request,
            "method": method[:16],
            "path": path[:200],
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": client,
        }
        _log.info("request", extra={"fields": fields})


def observe(app: Flask, config: Config) -> None:
    """Give every request an id, a log line and a place in the metrics; serve the metrics at /metrics."""
    count("RELEASE", (config.environment, config.version, config.commit, config.image_digest))
    app.extensions["settle"] = settle_metrics

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = request_id(request.headers.get("X-Request-Id", ""))

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        record(
            method=request.method,
            route=request.url_rule.rule if request.url_rule is not None else "unmatched",
            path=request.path,
            status=response.status_code,
            started=g.started,
            client=request.remote_addr,
            request=g.request_id,
        )
        return response

    @app.get("/metrics")
    def show_metrics() -> Response:
        settle_metrics()
        from app import metrics  # noqa: PLC0415 -- see above

        body, content_type = metrics.rendered()
        return Response(body, content_type=content_type)
