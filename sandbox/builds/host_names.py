"""Host names of the emulated account that builds reach: databases and load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write(directory: Path, addresses: Mapping[str, str], load_balancers: Mapping[str, int]) -> Path:
    """Return the build's /etc/hosts, and let curl connect to load balancers.

    A load balancer has another port on this machine than its listener, which a name cannot
    express; curl's configuration file can.
    """
    hosts = directory / "hosts"
    lines = [f"{address}\t{name}\n" for name, address in sorted(addresses.items())]
    hosts.write_text(Path("/etc/hosts").read_text() + "".join(lines))
    connections = [
        f'connect-to = "{listener}:127.0.0.1:{port}"\n'
        for listener, port in sorted(load_balancers.items())
    ]
    if connections:
        (directory / "home" / ".curlrc").write_text("".join(connections))
    return hosts
