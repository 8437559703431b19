"""Reads what a client sent, whole or not at all."""

from typing import Final

from flask import request
from werkzeug.exceptions import BadRequest, HTTPException

LARGEST_BODY: Final = 16 * 1024
"""Bytes. The longest entry, four bytes a character and URL-encoded, fits."""


def whole_body() -> bytes:
    """The request's body. Raises RequestEntityTooLarge (413) for more than the application's MAX_CONTENT_LENGTH.

    Flask's own `get_data` cuts a body that comes in chunks off at the limit without a word (Werkzeug 3.1): an entry
    would be stored in part. Reading on until the end raises instead; so does a body that breaks off or whose chunks are
    wrong (400).
    """
    parts = []
    try:
        while part := request.stream.read(1 << 16):
            parts.append(part)
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 -- each server has its own kinds
        raise BadRequest("The body did not arrive whole.") from None
    return b"".join(parts)
