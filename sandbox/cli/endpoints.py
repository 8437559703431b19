"""Where the Services of a stack answer on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.containers.service_proxy import local_listeners
from sandbox.runtime.home import Home

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """A Service, the URL of its load balancer, and the URL that answers on this machine."""

    service: str
    url: str
    local_url: str


def endpoints(home: Home, outputs: Mapping[str, Any]) -> list[Endpoint]:
    """Return the outputs whose load balancers have ready pods."""
    listeners = local_listeners(home.service_proxy)
    return [
        Endpoint(
            service=local.service,
            url=url,
            local_url=f"{local.scheme}://localhost:{local.port}{urlsplit(url).path}",
        )
        for url, listener in _urls(outputs)
        if (local := listeners.get(listener)) is not None
    ]


def has_load_balancer(home: Home, outputs: Mapping[str, Any]) -> bool:
    """Return whether an output names a load balancer of the sandbox, with or without pods."""
    listeners = local_listeners(home.service_proxy, ready=False)
    return any(listener in listeners for _, listener in _urls(outputs))


def _urls(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each URL of the outputs and its HOST:PORT, those of further services last."""
    for value in sorted(outputs.values(), key=lambda value: isinstance(value, Mapping)):
        if isinstance(value, Mapping):
            yield from _urls(value)
        elif isinstance(value, str) and "://" in value:
            parts = urlsplit(value)
            yield value, f"{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}"
