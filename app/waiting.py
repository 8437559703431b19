"""Tells the server which requests would have to wait for the database, so that it answers all others without a thread."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MUST_NOT_WAIT: Final = "app.must_not_wait"
"""The server sets this true in a request's environment when it calls the application where nothing may wait."""

# A route that is missing here is answered by a thread, which is slower, never wrong.
_NEVER_WAIT: Final = frozenset({"/livez", "/metrics", "/api/release", "/openapi.json"})


class WouldWaitError(Exception):
    """Nothing has been done for this request yet; it is to be called again where it may wait."""


class Waiting:
    """WSGI middleware right around an application that has a database."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on, or raise WouldWaitError before anything has begun."""
        if environ.get(MUST_NOT_WAIT):
            path = environ["PATH_INFO"]
            if path not in _NEVER_WAIT and not path.startswith("/static/"):
                raise WouldWaitError
        return self._application(environ, start_response)
