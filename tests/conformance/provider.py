"""The provider of the conformance tests: records every request with its arguments."""

from __future__ import annotations

import re
import threading
from typing import Any

from google.protobuf import json_format

from tests.sandbox.engine.recording_provider import Kit

_METHODS = (
    "CheckConfig", "DiffConfig", "Configure", "Check", "Diff", "Create", "Read", "Update", "Delete", "Invoke", "Call",
)  # fmt: skip
# Random, addresses, and what the URN repeats.
_IGNORED = {"randomSeed", "resource_status_address", "resource_status_token", "name", "type", "urn"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class RequestRecorder(Kit):
    """The kit with deterministic IDs and `requests`: (resource, method, arguments)."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.requests: list[tuple[str, str, Any]] = []
        self._counts: dict[str, int] = {}
        self.held = ""  # a request that waits for `released`, such as "create a"
        self.reached = threading.Event()  # the held request has arrived
        self.running = 0

    def new_id(self, name: str) -> str:
        """Return an ID of the name and its number of creations."""
        self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}-{self._counts[name]}"

    def record(self, method: str, request: Any) -> None:
        """Record a request."""
        document = json_format.MessageToDict(request, preserving_proto_field_name=True)
        urn = document.get("urn", "")
        name = urn.rsplit("::", 1)[-1] or document.get("tok", "")
        arguments = {key: document[key] for key in document if key not in _IGNORED}
        with self.lock:
            self.requests.append((name, method, normalized(arguments)))


def normalized(value: Any) -> Any:
    """Return a value with UUIDs replaced and lists of URNs sorted."""
    if isinstance(value, dict):
        return {normalized(key): normalized(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [normalized(item) for item in value]
        urns = all(isinstance(item, str) and item.startswith("urn:") for item in items)
        return sorted(items) if urns else items
    if isinstance(value, str):
        return _UUID.sub(lambda found: UNKNOWN if found.group() == UNKNOWN else "UUID", value)
    return value


def _recorded(method: str) -> Any:
    def call(self: RequestRecorder, request: Any, context: Any) -> Any:
        self.record(method, request)
        with self.lock:
            self.running += 1
        try:
            name = str(getattr(request, "urn", "")).rsplit("::", 1)[-1]
            if self.held == f"{method.lower()} {name}":
                self.reached.set()
                self.released.wait(120)
            return getattr(Kit, method)(self, request, context)
        finally:
            with self.lock:
                self.running -= 1

    return call


for _method in _METHODS:
    setattr(RequestRecorder, _method, _recorded(_method))
