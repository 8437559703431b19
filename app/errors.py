"""Error responses: problem+json (RFC 9457) for the API, a page otherwise, without internals."""

import logging

from flask import Flask, Response, json, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from app import telemetry
from app.logs import request_id

RETRY_AFTER_SECONDS = 5
UNAVAILABLE = "The database is unavailable. Nothing was stored; try again in a few seconds."

_log = logging.getLogger("app.errors")


class DatabaseUnavailableError(Exception):
    """The database cannot be used now; the message is for the log only."""


def report_unavailable(error: DatabaseUnavailableError) -> None:
    """Log and count a request that found the database unavailable."""
    telemetry.DATABASE_FAILURES.inc()
    _log.warning("database unavailable", extra={"reason": str(error)})


def problem(status: int, title: str, detail: str | None = None, **members: object) -> Response:
    """Return a problem+json response (schema `Problem` in openapi.json)."""
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    body["request_id"] = request_id.get()
    if detail:
        body["detail"] = detail
    content = json.dumps(body | members)
    return Response(content, status, content_type="application/problem+json")


def init_app(app: Flask) -> None:
    """Register the error handlers."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> BaseResponse:
        status = error.code or 500
        if status < 400 or error.response is not None:
            return error.get_response()
        response = _response(status, error.name, error.description)
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                response.headers[name] = value
        return response

    @app.errorhandler(DatabaseUnavailableError)
    def database_error(error: DatabaseUnavailableError) -> Response:
        report_unavailable(error)
        return retry_later(_response(503, ServiceUnavailable().name, UNAVAILABLE))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        _log.error("unexpected failure", exc_info=error)
        detail = "The log has the failure under this request's ID."
        return _response(500, InternalServerError().name, detail)


def retry_later(response: Response) -> Response:
    """Set Retry-After."""
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _response(status: int, title: str, detail: str | None) -> Response:
    if request.path.startswith("/api/") or request.accept_mimetypes.best == "application/json":
        return problem(status, title, detail)
    page = render_template(
        "error.html", status=status, title=title, detail=detail, request_id=request_id.get()
    )
    return Response(page, status)
