"""Relays to servers on loopback: assignment of addresses, restarts."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from sandbox.containers.engine_networks import BridgeNetwork, EngineNetworks
from sandbox.containers.host_relays import HostRelays

pytestmark = pytest.mark.server


class Networks(EngineNetworks):
    """Networks whose gateways are loopback addresses, so that no engine is needed."""

    def __init__(self) -> None:
        pass

    def relay(self, number: int) -> BridgeNetwork:
        subnet = IPv4Network(f"127.81.{number}.0/29")
        return BridgeNetwork(name=f"n{number}", subnet=subnet, gateway=str(subnet[1]))


class Endpoints:
    """Ports by loopback address, which a test changes."""

    def __init__(self, ports: Mapping[str, Collection[int]]) -> None:
        self.ports = ports

    def __call__(self) -> Mapping[str, Collection[int]]:
        return self.ports


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.80.9.9", 0)) as server:
        yield server


def reply(server: socket.socket, address: str, port: int) -> bytes:
    with socket.create_connection((address, port), timeout=5) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"hello")
        return client.recv(5)


def test_addresses_with_a_common_port_have_different_relays(tmp_path: Path) -> None:
    endpoints = Endpoints({"127.80.0.1": [5432], "127.80.0.2": [5432], "127.96.0.1": [80]})
    relays = HostRelays(tmp_path, Networks(), endpoints)
    addresses = {address: relays.address(address) for address in endpoints.ports}
    assert addresses == {
        "127.80.0.1": "127.81.0.1",
        "127.80.0.2": "127.81.1.1",
        "127.96.0.1": "127.81.0.1",
    }
    successor = HostRelays(tmp_path, Networks(), endpoints)
    assert {address: successor.address(address) for address in addresses} == addresses


def test_relays_stay_while_a_restarted_process_does_not_know_the_servers(
    tmp_path: Path, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    endpoints = Endpoints({"127.80.9.9": [port]})
    relays = HostRelays(tmp_path, Networks(), endpoints)
    address = relays.address("127.80.9.9")
    relays.apply()
    assert reply(server, address, port) == b"hello"
    successor = HostRelays(tmp_path, Networks(), Endpoints({}))
    successor.apply()
    assert reply(server, address, port) == b"hello"
    successor.end()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, port), timeout=5)
    assert not (tmp_path / "relays.json").exists()


def test_ports_follow_the_server(tmp_path: Path) -> None:
    endpoints = Endpoints({"127.80.9.9": [5432]})
    relays = HostRelays(tmp_path, Networks(), endpoints)
    relays.address("127.80.9.9")
    relays.apply()
    endpoints.ports = {"127.80.9.9": [5433]}
    relays.apply()
    listeners = json.loads((tmp_path / "config.json").read_text())["listeners"]
    assert [item["port"] for item in listeners] == [5433]
    relays.end()
