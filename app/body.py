"""Reads what a client sent, whole or not at all."""

from flask import request


def whole_body() -> bytes:
    """The request's body. Raises RequestEntityTooLarge (413) for more than the application's MAX_CONTENT_LENGTH.

    Flask's own `get_data` cuts a body that comes in chunks off at the limit without a word (Werkzeug 3.1): an entry
    would be stored in part. Reading on until the end raises instead.
    """
    parts = []
    while part := request.stream.read(1 << 16):
        parts.append(part)
    return b"".join(parts)
