"""Requests and responses between the HTTP server and the routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apiserver.port_forward import Connect
from sandbox.kubernetes.storage.object_store import Json


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """An HTTP request; `warnings` become the response's Warning headers.

    `query` has the last value of each parameter, `query_values` all of them.
    """

    method: str
    path: str
    query: Mapping[str, str]
    query_values: Mapping[str, Sequence[str]]
    content_type: str
    accept: str
    authorization: str
    user_agent: str
    host: str
    body: Any
    warnings: list[str] = field(default_factory=list)

    @property
    def as_table(self) -> bool:
        """Return whether the client accepts a Table."""
        return "as=Table" in self.accept

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter."""
        return self.query.get(name, "") in {"true", "1", "True"}


@dataclass(frozen=True)
class ApiResponse:
    """A document or plain text with its HTTP status."""

    content: Any
    code: int = 200


@dataclass(frozen=True)
class WatchStream:
    """A watch, one event per line."""

    events: Iterator[Json]


@dataclass(frozen=True)
class TextStream:
    """Plain text in parts; an empty part keeps the connection open."""

    parts: Iterator[bytes]


class RemoteProcess(Protocol):
    """A process in a container, or what a container that runs writes."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The input, if any."""
        ...

    @property
    def stdout(self) -> IO[bytes] | None:
        """The output, if any."""
        ...

    @property
    def stderr(self) -> IO[bytes] | None:
        """The errors, if any."""
        ...

    def kill(self) -> None:
        """End it."""
        ...

    def wait(self) -> int:
        """Return the exit code when it has ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExecSession:
    """A process to be connected to the client.

    `streams` are those that a client without WebSockets opens: stdin, stdout, stderr, resize.
    """

    process: RemoteProcess
    stdin: bool
    streams: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class PortForwardSession:
    """Connections to a pod's ports."""

    connect: Connect


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a resource URL."""

    kind: Kind
    namespace: str
    name: str
    subresource: str
