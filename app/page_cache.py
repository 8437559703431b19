"""Keeps the finished release page for a second, so that a rush of visitors reaches neither Flask nor the database.

Only the bare address `/` is kept: a writer is sent to another one and so sees the new entry at once. The page holds
nothing about who asks; what differs (request id, log line, metrics) is made for each answer here too.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.observation import record, request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECONDS: Final = 1.0


@dataclass(frozen=True)
class _Kept:
    headers: list[tuple[str, str]]
    body: bytes
    until: float


class PageCache:
    """WSGI middleware around the application."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._kept: dict[str, _Kept] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer from what is kept, or pass on and keep a good answer."""
        if environ["PATH_INFO"] != "/" or environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            return self._application(environ, start_response)
        scheme = environ["wsgi.url_scheme"]  # the one thing that the headers depend on
        kept = self._kept.get(scheme)
        if kept is None or time.monotonic() >= kept.until:
            return self._make(scheme, environ, start_response)
        started = time.perf_counter()
        request = request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        client = environ.get("REMOTE_ADDR")
        record(method="GET", route="/", path="/", status=200, started=started, client=client, request=request)
        start_response("200 OK", [*kept.headers, ("X-Request-Id", request)])
        return (kept.body,)

    def _make(self, scheme: str, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def remember(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            begun.append((status, headers))
            return start_response(status, headers, exc_info)  # type: ignore[arg-type]  # passed on as it came

        chunks = self._application(environ, remember)  # type: ignore[arg-type]  # typeshed's protocol has no name for it
        try:
            body = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, headers = begun[-1]
        if status.startswith("200 "):
            others = [(name, value) for name, value in headers if name.lower() != "x-request-id"]
            self._kept[scheme] = _Kept(others, body, time.monotonic() + SECONDS)
        return (body,)
