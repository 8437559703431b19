"""Ports that kubeconfigs and image references name: the same after a restart, or a word about who has them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox.contracts.cluster_host import ClusterFacts
from sandbox.kubernetes import Fleet
from sandbox.runtime.ports import PortTakenError
from tests.sandbox.kubernetes.conftest import Principals

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/demo"


def test_a_port_that_somebody_took_meanwhile_is_named_unless_no_cluster_needs_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, Principals({}))
    fleet.start()
    port = fleet.port
    assert port < 32768  # the system gives no connection such a port
    fleet.stop()
    with socket.create_server(("127.0.0.1", port)):
        fleet = Fleet(tmp_path, Principals({}))
        fleet.start()
        assert fleet.port != port
    port = fleet.port
    fleet.create(ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33"))
    fleet.stop()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError, match=f"port {port} on loopback"):
        Fleet(tmp_path, Principals({}))
    again = Fleet(tmp_path, Principals({}))
    assert again.port == port
    again.start()
    again.stop()
