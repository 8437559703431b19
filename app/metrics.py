"""The service's Prometheus metrics. Loaded by app.observation when they are first needed, not before."""

import os

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


def rendered() -> tuple[bytes, str]:
    """All workers' metrics, when gunicorn gave them a folder to share, else this process's; and their content type."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return generate_latest(registry), CONTENT_TYPE_LATEST
