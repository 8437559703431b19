"""Request IDs, JSON logs and Prometheus metrics."""

import logging
import os
import re
import secrets
import time
from typing import Any

from flask import Flask, Response, g, has_request_context, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from pythonjsonlogger.json import JsonFormatter

from app.config import Config

REQUEST_SECONDS = Histogram(
    "app_http_request_seconds",
    "Duration of requests.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ENTRIES = Counter("app_guestbook_entries_total", "Stored guestbook entries.")
DATABASE_FAILURES = Counter(
    "app_database_unavailable_total", "Requests that found the database unavailable."
)
RELEASE = Gauge(
    "app_release_info",
    "Always 1; its labels identify the release.",
    ["environment", "version", "commit", "image_digest"],
    multiprocess_mode="mostrecent",
)

_log = logging.getLogger("app.request")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # logged only when they fail


class _Formatter(JsonFormatter):
    """One JSON object per line: time (UTC), level, logger, message, request ID, `extra`."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["level"] = record.levelname.lower()
        if has_request_context() and "request_id" in g:
            log_data["request_id"] = g.request_id


def logging_config(level: str) -> dict[str, object]:
    """Return a dictConfig that writes all loggers as JSON to stdout, the server's included."""
    formatter = {
        "()": "app.telemetry._Formatter",
        "fmt": "%(levelname)s %(name)s %(message)s",
        "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception"},
        "timestamp": "time",
    }
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"stdout": handler},
        "root": {"level": level.upper(), "handlers": ["stdout"]},
        "loggers": {"_granian": {"level": level.upper()}, "granian.access": {"level": "ERROR"}},
    }


def init_app(app: Flask, config: Config) -> None:
    """Log and measure every request; serve the metrics at /metrics."""
    release = (config.environment, config.version, config.commit, config.image_digest)
    RELEASE.labels(*release).set(1)

    @app.before_request
    def start() -> None:
        g.start = time.perf_counter()
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        seconds = time.perf_counter() - g.start
        route = request.url_rule.rule if request.url_rule is not None else "unmatched"
        method = request.method if request.method in _METHODS else "other"
        REQUEST_SECONDS.labels(method, route, response.status_code).observe(seconds)
        if response.status_code >= 400 or route not in _PROBES:
            fields = {
                "method": request.method[:16],
                "path": request.path[:200],
                "status": response.status_code,
                "milliseconds": round(seconds * 1000, 2),
                "client": request.remote_addr,
            }
            _log.info("request", extra=fields)
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # set by app.__main__
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
