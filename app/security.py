"""Security headers, and the refusal of cross-origin writes."""

from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

_HSTS = "max-age=63072000; includeSubDomains"  # for HTTPS only (RFC 6797, section 7.2)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def init_app(app: Flask) -> None:
    """Refuse cross-origin writes and set the headers of every response."""

    @app.before_request
    def refuse_cross_origin() -> None:
        """See docs/decisions/0013-refuse-cross-origin-writes-by-fetch-metadata.md."""
        if request.method in _SAFE_METHODS:
            return
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site is not None:
            allowed = site in ("same-origin", "none")
        else:  # a browser before 2023, or no browser
            allowed = origin is None or urlsplit(origin).netloc.lower() == request.host.lower()
        if not allowed:
            abort(403, "Requests from other sites are refused.")

    @app.after_request
    def set_headers(response: Response) -> Response:
        response.headers.extend(_HEADERS)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = _HSTS
        response.headers.setdefault("Cache-Control", "no-store")
        return response
