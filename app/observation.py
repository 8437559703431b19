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

REQUESTS = Counter("app_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "app_http_request_seconds",
    "Time from a request's arrival in the application to its answer.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ENTRIES = Counter("app_guestbook_entries_total", "Guestbook entries written by this process.")
DATABASE_FAILURES = Counter("app_database_unavailable_total", "Requests that found the database unavailable.")
RELEASE = Gauge(
    "app_release_info", "Always 1; its labels say what runs.", ["environment", "version", "commit", "image_digest"],
    multiprocess_mode="mostrecent",
)  # fmt: skip


def observe(app: Flask, config: Config) -> None:
    """Give every request an id, a log line and a place in the metrics; serve the metrics at /metrics."""
    RELEASE.labels(config.environment, config.version, config.commit, config.image_digest).set(1)

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        seconds = time.perf_counter() - g.started
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(method, route, response.status_code).inc()
        SECONDS.labels(route).observe(seconds)
        if response.status_code >= 400 or route not in _QUIET:
            _log.info(
                "request",
                extra={
                    "request_id": g.request_id,
                    "method": request.method[:16],
                    "path": request.path[:200],
                    "status": response.status_code,
                    "milliseconds": round(seconds * 1000, 2),
                    "client": request.remote_addr,
                },
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
