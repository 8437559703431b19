"""The JSON API, described by openapi.json."""

import json
from pathlib import Path

from flask import Blueprint, Response, abort, jsonify, request, send_file
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app import telemetry
from app.config import Config
from app.errors import problem
from app.guestbook.models import MAX_ID, MAX_PAGE_LENGTH, InvalidDraftError, parse_draft
from app.guestbook.parsing import integer_argument, read_body
from app.guestbook.store import Guestbook

_OPENAPI = Path(__file__).parents[1] / "openapi.json"
_PAGE_LENGTH = 20


def blueprint(config: Config, guestbook: Guestbook | None) -> Blueprint:
    """Return the API's routes; `guestbook` is None without a database."""
    routes = Blueprint("api", __name__)
    facts = config.model_dump(include={"environment", "version", "commit", "image_digest", "pod"})
    facts["database"] = "configured" if config.database else "not configured"

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return send_file(_OPENAPI, mimetype="application/json", max_age=0)

    @routes.get("/api/release")
    def release() -> Response:
        return jsonify(facts)

    @routes.get("/api/entries")
    def list_entries() -> Response:
        limit = integer_argument("limit", MAX_PAGE_LENGTH, _PAGE_LENGTH) or _PAGE_LENGTH
        entries = require(guestbook).newest(limit, integer_argument("before", MAX_ID))
        next_before = entries[-1].id if len(entries) == limit else None
        return jsonify(entries=[entry.to_json() for entry in entries], next_before=next_before)

    @routes.post("/api/entries")
    def add_entry() -> Response:
        book = require(guestbook)
        try:
            draft = parse_draft(_json_object())
        except InvalidDraftError as error:
            detail = "The entry is invalid."
            return problem(422, "Unprocessable Entity", detail, errors=error.errors)
        entry = book.add(draft)
        telemetry.ENTRIES.inc()
        response = jsonify(entry.to_json())
        response.status_code = 201
        response.headers["Location"] = f"/api/entries/{entry.id}"
        return response

    @routes.get("/api/entries/<int:entry_id>")
    def get_entry(entry_id: int) -> Response:
        entry = require(guestbook).get(entry_id) if 1 <= entry_id <= MAX_ID else None
        if entry is None:
            abort(404, "There is no such entry.")
        return jsonify(entry.to_json())

    return routes


def require(guestbook: Guestbook | None) -> Guestbook:
    """Return the guestbook, or respond with 404 without a database."""
    if guestbook is None:
        abort(404, "This deployment has no database, and so no guestbook.")
    return guestbook


def _json_object() -> dict[str, object]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    try:
        value = json.loads(read_body().decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value
