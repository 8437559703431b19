"""JSON logs with request IDs; without Flask, which the server's main process does not load."""

import logging
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

request_id = ContextVar("request_id", default="")


class _Formatter(JsonFormatter):
    """One JSON object per line: time (UTC), level, logger, message, request ID, `extra`."""

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["level"] = record.levelname.lower()
        if identifier := request_id.get():
            log_data["request_id"] = identifier


def logging_config(level: str) -> dict[str, object]:
    """Return a dictConfig that writes all loggers as JSON to stdout, the server's included."""
    formatter = {
        "()": "app.logs._Formatter",
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
