"""Host names of the emulated account that builds reach: databases and load balancers."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path


def write(
    directory: Path,
    addresses: Mapping[str, str],
    load_balancers: Mapping[str, int],
    authority: str = "",
) -> Path:
    """Return the build's /etc/hosts, and let curl connect to load balancers.

    A load balancer has another port on this machine than its listener, which a name cannot
    express; curl's configuration file can. It also makes curl trust `authority`, a certificate in
    PEM, besides the authorities of this machine, and use no proxy for load balancers.
    """
    hosts = directory / "hosts"
    lines = [f"{address}\t{name}\n" for name, address in sorted(addresses.items())]
    hosts.write_text(Path("/etc/hosts").read_text() + "".join(lines))
    options = [
        f'connect-to = "{listener}:127.0.0.1:{port}"\n'
        for listener, port in sorted(load_balancers.items())
    ]
    if options:
        if authority:
            bundle = directory / "home" / "authorities.pem"
            bundle.write_text(f"{_machine_authorities()}\n{authority}")
            options.append(f'cacert = "{bundle}"\n')
        options.append(f'noproxy = "{",".join(_without_proxy(load_balancers))}"\n')
        (directory / "home" / ".curlrc").write_text("".join(options))
    return hosts


def _machine_authorities() -> str:
    """Return the certificates that curl trusts without a configuration file."""
    configured = [os.environ.get(name) for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE")]
    for file in [*configured, ssl.get_default_verify_paths().cafile]:
        if file and Path(file).is_file():
            return Path(file).read_text()
    return ""


def _without_proxy(load_balancers: Mapping[str, int]) -> Iterator[str]:
    """Yield names for an option that replaces the variable `no_proxy`."""
    yield from filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", ""),))
    yield from ("localhost", "127.0.0.1", ".amazonaws.com")
    yield from sorted({listener.rpartition(":")[0] for listener in load_balancers})
