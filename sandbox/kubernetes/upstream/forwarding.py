"""The endpoint of a cluster with another API server: authenticates as EKS does, and forwards.

A request that an access policy of the caller's access entry allows carries the credentials of the
kubeconfig's user. Any other impersonates the caller, and the API server's RBAC decides.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from io import BufferedIOBase
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apiserver import resource_paths
from sandbox.kubernetes.apiserver.auth import RequestAttributes, User
from sandbox.kubernetes.apiserver.http_server import RequestHandler
from sandbox.kubernetes.apiserver.messages import ApiResponse
from sandbox.kubernetes.apiserver.resource_paths import ResourcePath
from sandbox.kubernetes.upstream.cluster import UpstreamCluster
from sandbox.kubernetes.upstream.kubeconfig import Upstream, UpstreamError

LOG = logging.getLogger(__name__)
_CHUNK = 64 * 1024
# Headers of one connection; the length of a body and the credentials are set anew.
_HOP_BY_HOP = {"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_NOT_FORWARDED = {*_HOP_BY_HOP, "authorization", "content-length"}
_EVERYTHING = RequestAttributes(verb="*", group="*", resource="*")
# Their answers are about the caller.
_SELF_REVIEWS = {"authentication.k8s.io", "authorization.k8s.io"}


class ForwardingHandler(RequestHandler):
    """Forwards each request on a connection of its own, also watches and upgraded connections."""

    def _serve(self) -> None:
        try:
            self._forward(self.read_body())
        except errors.ApiError as error:
            self.send_document(ApiResponse(error.status(), error.code))
        except UpstreamError as error:
            problem = errors.ApiError(503, "ServiceUnavailable", str(error))
            self.send_document(ApiResponse(problem.status(), problem.code))
        except (OSError, http.client.HTTPException):
            LOG.debug("%s %s ended", self.command, self.path, exc_info=True)
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _forward(self, body: bytes) -> None:
        cluster: UpstreamCluster | None = self.server.find()
        if cluster is None:
            raise errors.ApiError(404, "NotFound", "the cluster was deleted")
        user = cluster.access.user(self.headers.get("Authorization", ""))
        if any(name.lower().startswith("impersonate-") for name in self.headers):
            raise errors.bad_request("the sandbox does not emulate impersonation")
        if cluster.is_abandoned:
            raise errors.ApiError(404, "NotFound", "the objects of the cluster were abandoned")
        url = urlsplit(self.path)
        path, query = resource_paths.parse(unquote(url.path)), parse_qs(url.query)
        attributes = _attributes(self.command, unquote(url.path), path, "watch" in query)
        upstream = cluster.upstream()
        headers = [] if _permits(cluster, user, attributes) else _impersonation(user)
        connection, response = self._exchange(upstream, headers, body)
        if response.status == HTTPStatus.UNAUTHORIZED and upstream.renew_credentials():
            connection.close()
            connection, response = self._exchange(upstream, headers, body)
        try:
            if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                self._tunnel(connection, response)
                return
            content = response.read() if response.status == HTTPStatus.CREATED else None
            if path is not None and "dryRun" not in query:
                _record(cluster, self.command, path, response.status, content)
            self._send_response(response, content)
        finally:
            connection.close()

    def _exchange(
        self, upstream: Upstream, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request on a new connection; return it with the response."""
        credentials = [*upstream.authorization().items()]
        connection = upstream.connect()
        try:
            self._send_request(connection, upstream.path(self.path), credentials + headers, body)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def _send_request(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> None:
        connection.putrequest(self.command, path, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _NOT_FORWARDED:
                connection.putheader(name, value)
        if upgrade := self.headers.get("Upgrade"):
            connection.putheader("Connection", "Upgrade")
            connection.putheader("Upgrade", upgrade)
        for name, value in headers:
            connection.putheader(name, value)
        if body or self.command not in {"GET", "DELETE"}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)

    def _send_response(self, response: http.client.HTTPResponse, content: bytes | None) -> None:
        self._send_head(response)
        if content is not None or response.length is not None:
            length = len(content) if content is not None else response.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            for part in [content] if content is not None else _parts(response):
                self.wfile.write(part)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for part in _parts(response):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)

    def _tunnel(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        """Copy both directions of an upgraded connection until one of them ends."""
        self.close_connection = True
        self._send_head(response)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", response.headers.get("Upgrade", ""))
        self.end_headers()
        self.wfile.flush()
        upstream: socket.socket = connection.sock
        # Its buffer may hold bytes that followed the response's head.
        thread = threading.Thread(
            target=_copy, args=(response.fp, self.connection), name="upstream-tunnel", daemon=True
        )
        thread.start()
        _copy(self.rfile, upstream)
        thread.join()


def _parts(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while part := response.read1(_CHUNK):
        yield part


def _copy(source: BufferedIOBase, target: socket.socket) -> None:
    """Copy until the source ends, then end the target."""
    with suppress(OSError, ValueError, ssl.SSLError):
        while part := source.read1(_CHUNK):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _attributes(
    method: str, url_path: str, path: ResourcePath | None, watching: bool
) -> RequestAttributes:
    if path is None:
        return RequestAttributes(verb=method.lower(), path=url_path)
    is_namespace = path.plural == "namespaces" and not path.group
    return RequestAttributes(
        verb=resource_paths.verb(method, path, watching=watching),
        group=path.group,
        resource=path.plural,
        subresource=path.subresource,
        namespace=path.name if is_namespace else path.namespace,
        name=path.name,
    )


def _permits(cluster: UpstreamCluster, user: User, attributes: RequestAttributes) -> bool:
    """Return whether the caller's access policies allow a request."""
    reviewed = _EVERYTHING if attributes.group in _SELF_REVIEWS else attributes
    return cluster.access.allows(user, reviewed)


def _impersonation(user: User) -> list[tuple[str, str]]:
    # The API server adds system:authenticated or system:unauthenticated.
    groups = [group for group in user.groups if not group.endswith("authenticated")]
    return [("Impersonate-User", user.name), *(("Impersonate-Group", group) for group in groups)]


def _record(
    cluster: UpstreamCluster, method: str, path: ResourcePath, status: int, content: bytes | None
) -> None:
    """Record an object that was created or deleted; reviews have no name."""
    if path.subresource:
        return
    if method == "DELETE" and path.name and status < HTTPStatus.BAD_REQUEST:
        cluster.owned.deleted(path)
    elif content is not None:
        with suppress(ValueError, KeyError, TypeError):
            name = path.name or str(json.loads(content)["metadata"]["name"])
            cluster.owned.created(path, name)
