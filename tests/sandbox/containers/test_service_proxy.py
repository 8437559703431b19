"""The proxy of Services and load balancers, with real connections."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox.containers.service_proxy import LocalServiceProxy, local_listeners
from sandbox.contracts.service_proxy import (
    Listener,
    ProxiedLoadBalancer,
    ProxiedService,
    Route,
)

pytestmark = pytest.mark.server

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/demo"
HOST = "k8s-demo.elb.us-east-1.amazonaws.com"


class _Backend(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Backend

    def do_GET(self) -> None:
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def backends() -> Iterator[list[_Backend]]:
    servers = [_Backend("one"), _Backend("two")]
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[LocalServiceProxy]:
    proxy = LocalServiceProxy(tmp_path)
    yield proxy
    proxy.stop()


def service(*backends: _Backend) -> ProxiedService:
    targets = [("127.0.0.1", backend.server_port) for backend in backends]
    return ProxiedService(namespace="demo", name="web", targets={8080: targets})


BALANCER = ProxiedLoadBalancer(
    namespace="demo",
    host=HOST,
    listeners=(Listener(port=80, protocol="TCP", routes=(Route(service="web", port=8080),)),),
)


def serve(proxy: LocalServiceProxy, *backends: _Backend) -> None:
    proxy.set_services(ARN, [service(*backends)], [BALANCER])


def port(directory: Path) -> int:
    return local_listeners(directory)[f"{HOST}:80"].port


def get(port: int, address: str = "127.0.0.1") -> str:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def test_connections_alternate_between_targets(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, *backends)
    assert {get(port(tmp_path)) for _ in range(4)} == {"one", "two"}


def test_client_outside_the_source_ranges_is_not_served(
    backends: list[_Backend], tmp_path: Path
) -> None:
    proxy = LocalServiceProxy(tmp_path, client_address="198.51.100.7")
    try:
        for ranges, served in (
            (("203.0.113.0/24",), False),
            (("203.0.113.0/24", "198.51.100.0/24"), True),
            ((), True),
        ):
            balancer = replace(BALANCER, source_ranges=ranges)
            proxy.set_services(ARN, [service(*backends)], [balancer])
            if served:
                assert get(port(tmp_path)) in {"one", "two"}
            else:
                with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                    get(port(tmp_path))
            # The Service's own address is not behind the load balancer.
            assert get(8080, proxy.host_names()["web.demo.svc"]) in {"one", "two"}
    finally:
        proxy.stop()


def test_service_has_its_own_address_and_names(
    proxy: LocalServiceProxy, backends: list[_Backend]
) -> None:
    serve(proxy, *backends)
    names = proxy.host_names()
    assert set(names) == {"web.demo", "web.demo.svc", "web.demo.svc.cluster.local", HOST}
    assert get(8080, names["web.demo.svc"]) in {"one", "two"}


def test_target_that_refuses_is_skipped(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, *backends)
    backends[0].shutdown()
    backends[0].server_close()
    assert [get(port(tmp_path)) for _ in range(4)] == ["two"] * 4


def test_connection_of_a_removed_target_continues(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, backends[0])
    connection = http.client.HTTPConnection("127.0.0.1", port(tmp_path), timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"one"
    serve(proxy, backends[1])
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"one"
    assert get(port(tmp_path)) == "two"


def test_port_stays_and_serving_continues_while_the_owner_restarts(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, *backends)
    before = port(tmp_path)
    proxy.stop(keep_process=True)
    assert get(before) in {"one", "two"}
    successor = LocalServiceProxy(tmp_path)
    successor.set_services("another", [])
    assert get(before) in {"one", "two"}, "a cluster that has not started yet keeps its Services"
    serve(successor, backends[1])
    assert port(tmp_path) == before
    assert get(before) == "two"
    successor.stop()


def test_balancer_ends_with_the_last_service(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, *backends)
    before = port(tmp_path)
    proxy.set_services(ARN, [])
    with pytest.raises(ConnectionRefusedError):
        get(before)
    assert local_listeners(tmp_path) == {}


def test_killed_balancer_is_started_again(
    proxy: LocalServiceProxy, backends: list[_Backend], tmp_path: Path
) -> None:
    serve(proxy, *backends)
    pid = int((tmp_path / "pid").read_text())

    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    serve(proxy, *backends)
    assert get(port(tmp_path)) in {"one", "two"}
