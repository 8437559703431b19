"""Structured logs: one JSON object a line, on standard output."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

# Of no use in the lines below, and a third of what one costs (Python's "Logging HOWTO", Optimization).
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# Made once: json.dumps with options builds an encoder for each call.
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger and message, then what `extra={"fields": {…}}` gave, then the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line: newlines inside values are escaped by JSON, so no value can forge a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return _encode(line)


def logging_config(level: str) -> dict[str, Any]:
    """For logging.config.dictConfig and gunicorn's logconfig_dict: everything goes through JsonFormatter to stdout."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "app.logs.JsonFormatter"}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        "root": {"level": level.upper(), "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }
