"""Requests and responses between the HTTP server and the routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.storage.object_store import Json


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """An HTTP request; `warnings` become the response's Warning headers."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    accept: str
    authorization: str
    user_agent: str
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


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a resource URL."""

    kind: Kind
    namespace: str
    name: str
    subresource: str
