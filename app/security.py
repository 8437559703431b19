"""What protects the visitor: response headers, and the refusal of posts that another site makes a browser send."""

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

# Two years, the minimum of browsers' preload lists; sent over TLS only, as the standard (RFC 6797, 7.2) asks.
_HSTS: Final = "max-age=63072000; includeSubDomains"
# Nothing more: frame-ancestors has taken the place of X-Frame-Options, and a page without scripts needs no
# Permissions-Policy. Every header costs every answer.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def protect(app: Flask) -> None:
    """Refuse cross-site writes and give every answer its headers."""

    @app.before_request
    def refuse_cross_site() -> None:
        """docs/decisions/ says why this needs no token, and so no secret that pods would have to share."""
        if request.method in _SAFE_METHODS:
            return
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            if site not in ("same-origin", "none"):
                abort(403, "This was sent from another site.")
            return
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
            abort(403, "This was sent from another site.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(_HEADERS)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = _HSTS
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
