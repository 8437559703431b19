"""Request IDs, the log of requests and Prometheus metrics."""

import logging
import os
import re
import secrets
import time

import prometheus_client as prometheus
from flask import Flask, Response, g, request
from prometheus_client.multiprocess import MultiProcessCollector

from app.config import Config
from app.logs import request_id

REQUEST_SECONDS = prometheus.Histogram(
    "app_http_request_seconds",
    "Duration of requests.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ENTRIES = prometheus.Counter("app_guestbook_entries_total", "Stored guestbook entries.")
DATABASE_FAILURES = prometheus.Counter(
    "app_database_unavailable_total", "Requests that found the database unavailable."
)
RELEASE = prometheus.Gauge(
    "app_release_info",
    "Always 1; its labels identify the release.",
    ["environment", "version", "commit", "image_digest"],
    multiprocess_mode="mostrecent",
)

_log = logging.getLogger("app.request")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # logged only when they fail


def init_app(app: Flask, config: Config) -> None:
    """Log and measure every request; serve the metrics at /metrics."""
    release = (config.environment, config.version, config.commit, config.image_digest)
    RELEASE.labels(*release).set(1)

    @app.before_request
    def start() -> None:
        g.start = time.perf_counter()
        sent = request.headers.get("X-Request-Id", "")
        request_id.set(sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16))

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id.get()
        seconds = time.perf_counter() - g.start
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        method = request.method if request.method in _METHODS else "other"
        REQUEST_SECONDS.labels(method, route, response.status_code).observe(seconds)
        if response.status_code >= 400 or route not in _PROBES:
            extra = {
                "method": request.method[:16],
                "path": request.path[:200],
                "status": response.status_code,
                "milliseconds": round(seconds * 1000, 2),
                "client": request.remote_addr,
            }
            _log.info("request", extra=extra)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        request_id.set("")

    @app.get("/metrics")
    def metrics() -> Response:
        registry = prometheus.REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # set by app.__main__
            registry = prometheus.CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(
            prometheus.generate_latest(registry), content_type=prometheus.CONTENT_TYPE_LATEST
        )
