"""Validation of requests: bodies and query parameters."""

from threading import BoundedSemaphore

from flask import Flask, current_app, request
from werkzeug.exceptions import BadRequest, LengthRequired, ServiceUnavailable

from app.errors import RETRY_AFTER_SECONDS

_READERS = "body_readers"
_READER_TIMEOUT_SECONDS = 0.25
"""Concurrent writers whose bodies arrive wait this long; longer would delay the probes."""


def init_app(app: Flask, threads: int) -> None:
    """Let at most half of the threads wait for bodies, so that the others serve probes and pages.

    granian has no timeout for bodies: a client that stalls occupies its thread.
    """
    app.extensions[_READERS] = BoundedSemaphore(max(1, threads // 2))


def read_body() -> bytes:
    """Return the complete body. Raises BadRequest for a truncated one.

    Raises ServiceUnavailable if too many requests wait for their bodies, and LengthRequired for a
    chunked body: granian does not report its truncation.
    """
    if request.content_length is None:
        raise LengthRequired("Send Content-Length; chunked bodies are not supported.")
    readers: BoundedSemaphore = current_app.extensions[_READERS]
    if not readers.acquire(timeout=_READER_TIMEOUT_SECONDS):
        raise ServiceUnavailable(
            "Too many requests wait for their bodies. Nothing was stored; try again in a few "
            "seconds.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    try:
        body = request.get_data(parse_form_data=False)
    finally:
        readers.release()
    if len(body) != request.content_length:
        raise BadRequest("The body is incomplete.")
    return body


def integer_argument(name: str, maximum: int, default: int | None = None) -> int | None:
    """Return a query parameter from 1 to `maximum`. Raises BadRequest."""
    value = request.args.get(name)
    if value is None:
        return default
    digits = value.isascii() and value.isdigit() and len(value) <= len(str(maximum))
    if not digits or not 1 <= int(value) <= maximum:
        raise BadRequest(f"{name} must be an integer from 1 to {maximum}.")
    return int(value)
