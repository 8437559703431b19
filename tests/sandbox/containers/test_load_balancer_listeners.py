"""TLS, HTTP and HTTPS listeners of load balancers, with real clients."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.service_proxy import LocalServiceProxy, local_listeners
from sandbox.contracts.service_proxy import (
    Listener,
    ListenerProtocol,
    ProxiedLoadBalancer,
    ProxiedService,
    Route,
)
from sandbox.runtime.certificate_authority import CertificateAuthority

pytestmark = pytest.mark.server

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/demo"
HOST = "k8s-demo.elb.us-east-1.amazonaws.com"
NAME = "guestbook.example.com"


class _Backend(ThreadingHTTPServer):
    """Answers with its name, the path, the body and the forwarding headers."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Backend

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = f"{self.server.name} {self.path} ".encode() + self.rfile.read(length)
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif self.path == "/until-close":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        for name in ("For", "Proto", "Port"):
            self.send_header(f"Seen-{name}", self.headers.get(f"X-Forwarded-{name}", ""))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def backends() -> Iterator[list[_Backend]]:
    servers = [_Backend("web"), _Backend("api")]
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "tls")


@pytest.fixture
def proxy(tmp_path: Path, authority: CertificateAuthority) -> Iterator[LocalServiceProxy]:
    proxy = LocalServiceProxy(tmp_path, authority=authority)
    yield proxy
    proxy.stop()


def serve(proxy: LocalServiceProxy, backends: list[_Backend], *listeners: Listener) -> None:
    services = [
        ProxiedService(
            namespace="demo",
            name=backend.name,
            targets={80: [("127.0.0.1", backend.server_port)]},
        )
        for backend in backends
    ]
    balancer = ProxiedLoadBalancer(namespace="demo", host=HOST, names=(NAME,), listeners=listeners)
    proxy.set_services(ARN, services, [balancer])


def listener(
    port: int, protocol: ListenerProtocol, *routes: Route, redirect_port: int = 0
) -> Listener:
    routes = routes or (Route(service="web", port=80),)
    return Listener(port=port, protocol=protocol, routes=routes, redirect_port=redirect_port)


def local_port(directory: Path, port: int) -> int:
    return local_listeners(directory, ready=False)[f"{HOST}:{port}"].port


def connect(
    directory: Path, port: int, authority: CertificateAuthority, name: str = "localhost"
) -> http.client.HTTPConnection:
    """Connect to the local port by a name, which the certificate must have."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    raw = socket.create_connection(("127.0.0.1", local_port(directory, port)), timeout=10)
    connection = http.client.HTTPConnection(name, local_port(directory, port))
    connection.sock = context.wrap_socket(raw, server_hostname=name)
    return connection


def body(connection: http.client.HTTPConnection, method: str, path: str, **options: Any) -> str:
    connection.request(method, path, **options)
    return connection.getresponse().read().decode()


@pytest.mark.parametrize("name", ["localhost", HOST, NAME])
@pytest.mark.parametrize("protocol", ["TLS", "HTTPS"])
def test_client_verifies_the_certificate_against_the_authority(
    proxy: LocalServiceProxy,
    backends: list[_Backend],
    tmp_path: Path,
    authority: CertificateAuthority,
    protocol: ListenerProtocol,
    name: str,
) -> None:
    serve(proxy, backends, listener(443, protocol))
    connection = connect(tmp_path, 443, authority, name)
    assert body(connection, "GET", "/") == "web / "
    assert body(connection, "POST", "/", body=b"x" * 200_000) == "web / " + "x" * 200_000
    assert body(connection, "GET", "/until-close") == "web /until-close "
    local = local_listeners(tmp_path)[f"{NAME}:443"]
    assert (local.service, local.scheme) == ("web", "https")


def test_tls_listener_refuses_plain_requests(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends, listener(443, "TLS"))
    connection = http.client.HTTPConnection("127.0.0.1", local_port(tmp_path, 443), timeout=10)
    with pytest.raises((http.client.HTTPException, OSError)):
        body(connection, "GET", "/")


def test_listener_that_gets_a_certificate_keeps_its_port(
    proxy: LocalServiceProxy,
    backends: list[_Backend],
    tmp_path: Path,
    authority: CertificateAuthority,
) -> None:
    serve(proxy, backends, listener(443, "TCP"))
    before = local_port(tmp_path, 443)
    serve(proxy, backends, listener(443, "TLS"))
    assert local_port(tmp_path, 443) == before
    assert body(connect(tmp_path, 443, authority), "GET", "/") == "web / "


def test_requests_of_one_connection_go_to_the_routes_of_their_host_and_path(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(
        proxy,
        backends,
        listener(
            80,
            "HTTP",
            Route(service="api", port=80, host=NAME, path="/health", exact=True),
            Route(service="api", port=80, host=NAME, path="/api"),
            Route(service="web", port=80, host=NAME),
            Route(service="api", port=80, host="*.example.org"),
        ),
    )
    connection = http.client.HTTPConnection("127.0.0.1", local_port(tmp_path, 80), timeout=10)
    for host, path, service in (
        (NAME, "/api/entries?limit=1", "api"),
        (NAME, "/api", "api"),
        (NAME, "/apiary", "web"),
        (NAME, "/health", "api"),
        (NAME, "/health/more", "web"),
        (NAME.upper(), "/", "web"),
        ("a.example.org", "/", "api"),
        ("localhost", "/", "web"),
        ("127.0.0.1:8000", "/api", "api"),
    ):
        assert body(connection, "GET", path, headers={"Host": host}) == f"{service} {path} "
    connection.request("GET", "/", headers={"Host": "other.example.com"})
    response = connection.getresponse()
    assert (response.status, response.headers["Server"]) == (404, "awselb/2.0")


def test_application_load_balancer_sets_forwarding_headers(
    proxy: LocalServiceProxy,
    backends: list[_Backend],
    tmp_path: Path,
    authority: CertificateAuthority,
) -> None:
    serve(proxy, backends, listener(443, "HTTPS"))
    connection = connect(tmp_path, 443, authority)
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    connection.request("GET", "/", headers=headers)
    response = connection.getresponse()
    seen = [response.headers[f"Seen-{name}"] for name in ("For", "Proto", "Port")]
    assert seen == ["203.0.113.9, 127.0.0.1", "https", "443"]


def test_bodies_keep_their_bounds_on_a_kept_connection(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends, listener(80, "HTTP"))
    connection = http.client.HTTPConnection("127.0.0.1", local_port(tmp_path, 80), timeout=10)
    for _ in range(3):
        assert body(connection, "GET", "/chunked") == "web /chunked "
        assert body(connection, "HEAD", "/") == ""
        assert body(connection, "POST", "/", body=b"entry") == "web / entry"
    assert connection.sock is not None


def test_http_is_redirected_to_https(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends, listener(80, "HTTP", redirect_port=443), listener(443, "HTTPS"))
    ports = [local_port(tmp_path, port) for port in (80, 443)]
    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=10)
    for host, location in (
        (NAME, f"https://{NAME}:443/entries?before=3"),
        (f"localhost:{ports[0]}", f"https://localhost:{ports[1]}/entries?before=3"),
    ):
        connection.request("GET", "/entries?before=3", headers={"Host": host})
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["Location"]) == (301, location)


def response(connection: socket.socket) -> bytes:
    """Return the body of the next response, which may arrive in parts."""
    received = http.client.HTTPResponse(connection)
    received.begin()
    return received.read()


def test_removed_target_completes_its_request_and_gets_no_further_one(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends, listener(80, "HTTP"))
    raw = socket.create_connection(("127.0.0.1", local_port(tmp_path, 80)), timeout=10)
    raw.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nen")
    time.sleep(0.3)
    routes = (Route(service="api", port=80),)
    serve(proxy, backends, Listener(port=80, protocol="HTTP", routes=routes))
    raw.sendall(b"try")
    assert response(raw) == b"web / entry"
    raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert response(raw) == b"api / "
    raw.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", b"400"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"400"),
    ],
)
def test_malformed_request_is_refused(
    proxy: LocalServiceProxy,
    backends: list[_Backend],
    tmp_path: Path,
    request_bytes: bytes,
    status: bytes,
) -> None:
    serve(proxy, backends, listener(80, "HTTP"))
    with socket.create_connection(("127.0.0.1", local_port(tmp_path, 80)), timeout=10) as raw:
        raw.sendall(request_bytes)
        assert raw.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_target_that_fails_is_a_bad_gateway_and_none_is_unavailable(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends, listener(80, "HTTP"))
    address = local_port(tmp_path, 80)

    def status() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", address, timeout=10)
        connection.request("GET", "/")
        return connection.getresponse().status

    assert status() == 200
    backends[0].shutdown()
    backends[0].server_close()
    assert status() == 502
    serve(proxy, backends[1:], listener(80, "HTTP"))
    assert status() == 503
