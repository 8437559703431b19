"""The JSON API: the release and the guestbook. openapi.json beside this file describes it."""

import json
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request, send_file
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.body import whole_body
from app.config import Config
from app.entry import LARGEST_ID, LARGEST_PAGE, InvalidDraftError, draft
from app.errors import problem
from app.observation import count

_DOCUMENT = Path(__file__).with_name("openapi.json")


def api(config: Config, guestbook: Any) -> Blueprint:
    """The API's routes. `guestbook` is an app.guestbook.Guestbook, or None where no database is configured."""
    routes = Blueprint("api", __name__)

    @routes.get("/openapi.json")
    def document() -> Response:
        return send_file(_DOCUMENT, mimetype="application/json", max_age=0)

    @routes.get("/api/release")
    def release() -> Response:
        return jsonify(release_facts(config))

    @routes.get("/api/entries")
    def newest() -> Response:
        book = _configured(guestbook)
        limit, before = number("limit", 20, LARGEST_PAGE), number("before", None, LARGEST_ID)
        found = book.newest(limit, before)
        # A full page may have more behind it; asking is how one finds out.
        following = found[-1].id if len(found) == limit else None
        return jsonify(entries=[entry.as_json() for entry in found], next_before=following)

    @routes.post("/api/entries")
    def add() -> Response:
        book = _configured(guestbook)
        try:
            wanted = draft(_json_object())
        except InvalidDraftError as error:
            return problem(422, "Unprocessable Entity", "The entry can't be taken as it is.", errors=error.errors)
        entry = book.add(wanted)
        count("ENTRIES")
        answer = jsonify(entry.as_json())
        answer.status_code = 201
        answer.headers["Location"] = f"/api/entries/{entry.id}"
        return answer

    @routes.get("/api/entries/<int:entry_id>")
    def one(entry_id: int) -> Response:
        entry = _configured(guestbook).get(entry_id) if 1 <= entry_id <= LARGEST_ID else None
        if entry is None:
            abort(404, "There is no such entry.")
        return jsonify(entry.as_json())

    return routes


def release_facts(config: Config) -> dict[str, str]:
    """What runs (schema `Release`)."""
    return {
        "environment": config.environment,
        "version": config.version,
        "commit": config.commit,
        "image_digest": config.image_digest,
        "pod": config.pod,
        "database": "configured" if config.database else "not configured",
    }


def number(name: str, default: Any, most: int) -> Any:
    """A query parameter from 1 to `most`, or the default. Anything else is a 400."""
    value = request.args.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and 1 <= int(value) <= most):
        raise BadRequest(f"{name} must be a whole number from 1 to {most}.")
    return int(value)


def _configured(guestbook: Any) -> Any:
    if guestbook is None:
        abort(404, "This deployment has no database, and so no guestbook.")
    return guestbook


def _json_object() -> dict[str, object]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    try:
        value = json.loads(whole_body().decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value
