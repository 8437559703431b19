"""HTTPS server of a cluster."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apiserver import exec_stream, port_forward, protobuf
from sandbox.kubernetes.apiserver.messages import (
    ApiRequest,
    ApiResponse,
    ExecSession,
    PortForwardSession,
    TextStream,
    WatchStream,
)
from sandbox.kubernetes.apiserver.routes import handle
from sandbox.kubernetes.apiserver.transports import (
    SharedConnection,
    SocketTransport,
    WebSocketTransport,
)
from sandbox.kubernetes.cluster import Cluster
from sandbox.runtime.damage import DamagedFileError

LOG = logging.getLogger(__name__)
_MAX_BODY = 3 * 1024 * 1024  # the API server's own limit


class Server(ThreadingHTTPServer):
    """Serves the cluster that `find` returns at `https://127.0.0.1:<port>` through `handler`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext,
        find: Callable[[], Any],
        handler: type[RequestHandler],
    ) -> None:
        self.find, self._tls = find, tls
        self._thread: threading.Thread | None = None
        super().__init__(("127.0.0.1", port), handler)

    def get_request(self) -> tuple[Any, Any]:
        """Wrap a connection in TLS; the handshake runs in the connection's thread."""
        connection, address = super().get_request()
        return self._tls.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ), address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Ignore broken connections."""
        LOG.debug("connection from %s ended", client_address, exc_info=True)

    def serve(self) -> None:
        """Serve in a thread."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="kubernetes-https", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close the port."""
        if self._thread is not None:
            self.shutdown()
        self.server_close()


class RequestHandler(BaseHTTPRequestHandler):
    """Reads the bodies of requests and sends documents."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    timeout = 600

    def read_body(self) -> bytes:
        """Return the request's body. Raises ApiError for one that the API server refuses."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._read(int(self.headers.get("Content-Length") or 0), 0)
        body = b""  # `kubectl create --raw` streams its body
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self._read(size, len(body))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _read(self, size: int, total: int) -> bytes:
        if total + size > _MAX_BODY:
            self.close_connection = True
            self._discard(min(size, 4 * _MAX_BODY))  # a client reads the answer after its request
            raise errors.ApiError(
                413, "RequestEntityTooLarge", f"Request entity too large: limit is {_MAX_BODY}"
            )
        return self.rfile.read(size)

    def _discard(self, size: int) -> None:
        while size > 0 and (part := self.rfile.read(min(size, 64 * 1024))):
            size -= len(part)

    def send_document(self, result: ApiResponse, warnings: Iterable[str] = ()) -> None:
        """Send a document or plain text."""
        media, body = _encode(result.content)
        self.send_response(result.code)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        for warning in warnings:
            escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{escaped}"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log at the level DEBUG."""
        LOG.debug(format, *arguments)

    def version_string(self) -> str:
        """Return the value of the header Server."""
        return "kubernetes-sandbox"


class ApiHandler(RequestHandler):
    """Serves an emulated cluster."""

    def _serve(self) -> None:
        warnings: list[str] = []
        try:
            result = handle(*self._read_request(warnings))
        except errors.ApiError as error:
            result = ApiResponse(error.status(), error.code)
        except (BrokenPipeError, ConnectionError, ssl.SSLError):
            self.close_connection = True
            return
        except Exception as error:
            LOG.exception("%s %s", self.command, self.path)
            problem = errors.ApiError(
                500, "InternalError", f"Internal error occurred: {type(error).__name__}: {error}"
            )
            result = ApiResponse(problem.status(), 500)
        try:
            if isinstance(result, WatchStream):
                self._stream(json.dumps(item).encode() + b"\n" for item in result.events)
            elif isinstance(result, TextStream):
                self._stream(result.parts, "text/plain")
            elif isinstance(result, ExecSession | PortForwardSession):
                self._upgrade(result)
            else:
                self.send_document(result, warnings)
        except (BrokenPipeError, ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _read_request(self, warnings: list[str]) -> tuple[Cluster, ApiRequest]:
        body = self.read_body()
        split = urlsplit(self.path)
        cluster = self.server.find()
        if cluster is None:
            raise errors.ApiError(404, "NotFound", "the cluster was deleted")
        content_type = self.headers.get("Content-Type", "").split(";")[0].strip()
        query_values = parse_qs(split.query, keep_blank_values=True)
        query = {name: values[-1] for name, values in query_values.items()}
        return cluster, ApiRequest(
            method=self.command,
            path=unquote(split.path) or "/",
            query=query,
            query_values=query_values,
            content_type=content_type,
            accept=self.headers.get("Accept", ""),
            authorization=self.headers.get("Authorization", ""),
            user_agent=self.headers.get("User-Agent", ""),
            host=self.headers.get("Host", ""),
            body=_parse(body, content_type),
            warnings=warnings,
        )

    def _upgrade(self, session: ExecSession | PortForwardSession) -> None:
        """Switch to WebSockets or SPDY, as the client requires, and serve the session."""
        self.close_connection = True
        upgrade = self.headers.get("Upgrade", "").lower()
        if upgrade == "websocket":
            head = f"{self.requestline}\r\n{self.headers}".replace("\n", "\r\n")
            request = head.replace("\r\r", "\r").encode()
            connection = SharedConnection(self.connection)
            if isinstance(session, ExecSession):
                exec_stream.serve(connection, request, session)
                return
            tunnel = WebSocketTransport(connection)
            if tunnel.accept(request, [port_forward.TUNNEL]) is not None:
                port_forward.serve(tunnel, session.connect)
                tunnel.close()
        elif upgrade == "spdy/3.1":
            executes = isinstance(session, ExecSession)
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "SPDY/3.1")
            protocol = exec_stream.SPDY_PROTOCOL if executes else port_forward.PROTOCOL
            self.send_header("X-Stream-Protocol-Version", protocol)
            self.end_headers()
            transport = SocketTransport(SharedConnection(self.connection))
            if isinstance(session, ExecSession):
                exec_stream.serve_spdy(transport, session)
            else:
                port_forward.serve(transport, session.connect)
        else:
            if isinstance(session, ExecSession):
                session.process.kill()
            problem = errors.bad_request("Upgrade request required")
            self.send_document(ApiResponse(problem.status(), problem.code), [])

    def _stream(self, parts: Iterable[bytes], media_type: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for part in parts:
            if part:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _encode(content: Any) -> tuple[str, bytes]:
    if isinstance(content, bytes):
        return "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", content
    if isinstance(content, str):
        return "text/plain", content.encode()
    return "application/json", json.dumps(content).encode()


def _parse(body: bytes, content_type: str) -> Any:
    if not body:
        return None
    if content_type == "application/vnd.kubernetes.protobuf":
        return protobuf.decode(body)
    try:
        if "yaml" in content_type:
            return json.loads(body) if body.lstrip()[:1] == b"{" else yaml.safe_load(body)
        return json.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise errors.bad_request(f"the body of the request cannot be parsed: {error}") from None


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """Return the server's TLS settings. Raises DamagedFileError for unusable files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise DamagedFileError(Path(certificate), f"it and {key} are no pair ({error})") from error
    return context
