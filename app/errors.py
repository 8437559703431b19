"""What a client is told when something is wrong: problem+json (RFC 9457) under /api, a page elsewhere, no internals."""

import logging
from typing import Any, Final

from flask import Flask, Response, g, json, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from app.observation import count

RETRY_AFTER_SECONDS: Final = 5

_log = logging.getLogger("app.errors")


class DatabaseUnavailableError(Exception):
    """The database can't be used now. `reason` is for the log; a client is told only that it is so."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def unavailable(error: DatabaseUnavailableError) -> str:
    """Log and count it. Returns the sentence for the client."""
    count("DATABASE_FAILURES")
    _log.warning("database unavailable", extra={"fields": {"reason": error.reason, "request_id": g.get("request_id")}})
    return "The database can't be reached right now. Nothing was written; try again in a few seconds."


def problem(status: int, title: str, detail: str | None = None, **members: Any) -> Response:
    """A problem+json answer (schema `Problem` in openapi.json)."""
    body = {"type": "about:blank", "title": title, "status": status, "request_id": g.get("request_id")}
    if detail:
        body["detail"] = detail
    return Response(json.dumps(body | members), status, content_type="application/problem+json")


def handle_errors(app: Flask) -> None:
    """Register the handlers: HTTP errors, an unavailable database, and everything nobody thought of."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Any:
        status = error.code or 500
        if status < 400 or error.response is not None:  # a redirect, or an answer made on purpose
            return error
        answer = _answer(status, error.name, error.description)
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(DatabaseUnavailableError)
    def database_error(error: DatabaseUnavailableError) -> Response:
        answer = _answer(503, ServiceUnavailable().name, unavailable(error))
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        _log.error("unexpected failure", exc_info=error, extra={"fields": {"request_id": g.get("request_id")}})
        return _answer(500, InternalServerError().name, "The failure is in the log under this request's id.")


def _answer(status: int, title: str, detail: str | None) -> Response:
    if request.path.startswith("/api/") or request.accept_mimetypes.best == "application/json":
        return problem(status, title, detail)
    page = render_template("error.html", status=status, title=title, detail=detail, request_id=g.get("request_id"))
    return Response(page, status)
