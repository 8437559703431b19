"""Executes AWS calls in moto."""

from __future__ import annotations

import io
from typing import Any

from botocore.parsers import create_parser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.wire import Call, Reply


class Moto:
    """moto's WSGI application."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)

    def execute(self, call: Call) -> Reply:
        """Return moto's HTTP response. Raises AwsError if moto does not implement the call."""
        start: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            start[:] = [int(status.split(maxsplit=1)[0]), dict(headers)]

        try:
            body = b"".join(self._application(_wsgi_environ(call.fresh_environ()), start_response))
        except NotImplementedError as error:
            raise not_emulated(call.service, call.operation) from error
        status, headers = start
        is_html = "html" in headers.get("Content-Type", "") and (not body or b"<html" in body)
        is_head = call.environ.get("REQUEST_METHOD") == "HEAD"
        if status in {404, 405, 500} and is_html and not is_head:
            raise not_emulated(call.service, call.operation)
        return Reply(status, headers, body)

    def result(self, call: Call) -> dict[str, Any]:
        """Return the call's result. Raises AwsError with moto's code if it fails."""
        reply = self.execute(call)
        result = parse_reply(call, reply)
        if reply.status >= 400:
            error = result.get("Error", {})
            code, message = error.get("Code", "InternalFailure"), error.get("Message", "")
            raise AwsError(code, message, status=reply.status)
        return result


def parse_reply(call: Call, reply: Reply) -> dict[str, Any]:
    """Parse a response with botocore's model of the operation."""
    headers = {key.lower(): value for key, value in reply.headers.items()}
    response = {"status_code": reply.status, "headers": headers, "body": reply.body}
    shape: Any = call.model.output_shape
    parsed: dict[str, Any] = create_parser(call.protocol).parse(response, shape)
    parsed.pop("ResponseMetadata", None)
    return parsed


def _wsgi_environ(environ: dict[str, Any]) -> dict[str, Any]:
    """Add the WSGI keys that a replayed request lacks."""
    return {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "SCRIPT_NAME": "",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **environ,
    }
