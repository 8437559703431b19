"""Validation of requests: bodies and query parameters."""

from flask import request
from werkzeug.exceptions import BadRequest, LengthRequired


def read_body() -> bytes:
    """Return the complete body. Raises BadRequest for a truncated one.

    Raises LengthRequired for a chunked body: granian does not report its truncation.
    """
    if request.content_length is None:
        raise LengthRequired("Send Content-Length; chunked bodies are not supported.")
    body = request.get_data(parse_form_data=False)
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
