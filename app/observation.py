"""What one can see of the service from outside: request ids, a log line per request, Prometheus metrics."""

import logging
import os
import re
import secrets
import time
from typing import Final

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as render
from prometheus_client.multiprocess import MultiProcessCollector

from app.config import Config

_log = logging.getLogger("app.request")
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Probes come every few seconds from every node: they are counted, and logged only when they fail.
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})

# Its _count is the number of requests: a counter beside it would cost every request and say nothing more.
SECONDS = Histogram(
    "app_http_request_seconds",
    "Time from a request's arrival in the application to its answer.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ENTRIES = Counter("app_guestbook_entries_total", "Guestbook entries written by this process.")
DATABASE_FAILURES = Counter("app_database_unavailable_total", "Requests that found the database unavailable.")
RELEASE = Gauge(
    "app_release_info", "Always 1; its labels say what runs.", ["environment", "version", "commit", "image_digest"],
    multiprocess_mode="mostrecent",
)  # fmt: skip


def request_id(given: str) -> str:
    """The id a client gave its request if it is sane, else a new one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)


def record(
    *, method: str, route: str, path: str, status: int, started: float, client: str | None, request: str
) -> None:
    """Count one answered request and log it. `started` is of time.perf_counter, `request` is its id."""
    seconds = time.perf_counter() - started
    SECONDS.labels(method if method in _METHODS else "other", route, status).observe(seconds)
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
    RELEASE.labels(config.environment, config.version, config.commit, config.image_digest).set(1)

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
    def metrics() -> Response:
        """All workers' metrics, when gunicorn gave them a folder to share; else this process's."""
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        return Response(render(registry), content_type=CONTENT_TYPE_LATEST)
